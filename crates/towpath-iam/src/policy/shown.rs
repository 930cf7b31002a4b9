//! A policy document with unique ids in place of ARNs whose users and roles are no more.
//!
//! IAM stores unique ids and shows the ARN as long as there is one. Here the document is stored as it was put, and
//! rewritten when it is shown and something in it is gone; then white space between its parts is lost, nothing else.

use std::collections::BTreeMap;

use super::json::Json;

/// Writes `text` anew with every principal in `lost`, by ARN, replaced by its unique id.
pub(super) fn with_ids(text: &str, lost: &BTreeMap<&str, &str>) -> Option<String> {
    let mut document = Json::parse(text).ok()?;
    let statements = member(&mut document, "Statement")?;
    for statement in many(statements) {
        for element in ["Principal", "NotPrincipal"] {
            let Some(principals) = member(statement, element).and_then(|element| member(element, "AWS")) else {
                continue;
            };
            for principal in many(principals) {
                if let Json::Text(arn) = principal
                    && let Some(id) = lost.get(arn.as_str())
                {
                    *arn = (*id).to_owned();
                }
            }
        }
    }
    let mut out = String::with_capacity(text.len());
    write(&document, &mut out);
    Some(out)
}

fn member<'a>(json: &'a mut Json, name: &str) -> Option<&'a mut Json> {
    let Json::Object(members) = json else { return None };
    members.iter_mut().find(|(member, _)| member == name).map(|(_, value)| value)
}

fn many(json: &mut Json) -> &mut [Json] {
    match json {
        Json::List(items) => items,
        other => std::slice::from_mut(other),
    }
}

/// Writes a value without white space. Its depth was bounded when it was parsed.
fn write(json: &Json, out: &mut String) {
    let text = |text: &str| serde_json::to_string(text).expect("a string is always written");
    match json {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Number(number) => out.push_str(number),
        Json::Text(value) => out.push_str(&text(value)),
        Json::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            for (index, (name, value)) in members.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&text(name));
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_principals_are_replaced_and_the_rest_stays_in_its_order() {
        let (gone, here) = ("arn:aws:iam::111111111111:user/gone", "arn:aws:iam::111111111111:user/here");
        let text = format!(
            r#"{{"Version":"2012-10-17", "Statement":[{{"Sid":"{gone}","Effect":"Allow","Principal":{{"AWS":["{gone}", "{here}"]}},"Action":"x:y","Condition":{{"NumericLessThan":{{"a:b":1.5}},"ArnLike":{{"aws:PrincipalArn":"{gone}"}},"Bool":{{"a:c":true}}}}}},{{"NotPrincipal":{{"AWS":"{gone}"}}}}]}}"#
        );
        let expected = text
            .replace(&format!(r#"["{gone}", "{here}"]"#), &format!(r#"["AIDAGONE","{here}"]"#))
            .replace(&format!(r#"{{"AWS":"{gone}"}}"#), r#"{"AWS":"AIDAGONE"}"#)
            .replace("\"2012-10-17\", ", "\"2012-10-17\",");
        assert_eq!(with_ids(&text, &[(gone, "AIDAGONE")].into()), Some(expected));
    }
}
