//! Leaves of the small, flat XML answers of STS and IAM.

/// The text of the first element with this name in `xml`, entities resolved. `None` if there is none.
pub(super) fn leaf(xml: &str, name: &str) -> Option<String> {
    let inside = element(xml, name)?;
    if inside.contains('<') {
        return None;
    }
    let text = inside.trim();
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    Some(text.replace("&amp;", "&"))
}

/// What is inside the first element with this name; elements of one name do not nest in these answers.
pub(super) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = xml;
    loop {
        let start = rest.find('<')?;
        let tag = &rest[start + 1..];
        rest = tag;
        let Some(after) = tag.strip_prefix(name) else { continue };
        // The end of the name: what follows is no longer name.
        if !after.starts_with(['>', ' ', '\t', '\r', '\n', '/']) {
            continue;
        }
        let end = after.find('>')?;
        if after[..end].ends_with('/') {
            return Some("");
        }
        let inside = &after[end + 1..];
        return inside.find(&format!("</{name}>")).map(|end| &inside[..end]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn leaves_are_found_by_their_whole_name() {
        let xml = "<A xmlns=\"x\"><ArnOf>no</ArnOf><Arn> a&amp;lt;b </Arn><Empty/></A>";
        assert_eq!(leaf(xml, "Arn").as_deref(), Some("a&lt;b"));
        assert_eq!(leaf(xml, "Empty").as_deref(), Some(""));
        assert_eq!(leaf(xml, "A"), None, "not a leaf");
        assert_eq!(leaf(xml, "Other"), None);
        assert_eq!(leaf("<Arn>cut", "Arn"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(xml in "[<>/a A&;lt\"]{0,60}") {
            let _ = (leaf(&xml, "a"), element(&xml, "A"));
        }
    }
}
