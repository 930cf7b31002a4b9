//! Bodies in each format: JSON, CBOR, forms and XML.

use super::*;

impl<'a> Client<'a> {
    pub(super) fn json_structure(&self, shape: &'a Json, fields: &[Field]) -> Json {
        let mut object = Map::new();
        for field in fields {
            let reference = &shape["members"][&*field.name];
            let name = self.model.text(reference, "locationName").unwrap_or(&field.name);
            object.insert(name.to_owned(), self.json_value(reference, &field.value));
        }
        // Something that the model does not know.
        object.insert("~unknown".into(), json!({ "a": [1, { "b": null }] }));
        Json::Object(object)
    }

    pub(super) fn json_value(&self, reference: &'a Json, value: &Value) -> Json {
        let shape = self.model.shape(reference);
        match value {
            Value::Structure(fields) => self.json_structure(shape, fields),
            Value::List(values) => values.iter().map(|value| self.json_value(&shape["member"], value)).collect(),
            Value::Map(entries) => {
                let entry = |(key, value): &(String, Value)| (key.clone(), self.json_value(&shape["value"], value));
                Json::Object(entries.iter().map(entry).collect())
            }
            Value::Document(json) => json.clone(),
            Value::Number(number) => Json::Number(number.clone()),
            Value::Bool(value) => Json::Bool(*value),
            Value::Time(time) if self.format_of(reference) == "unixTimestamp" => seconds(time),
            value => Json::String(self.scalar(reference, value)),
        }
    }

    pub(super) fn cbor_structure(&self, shape: &'a Json, fields: &[Field]) -> Cbor {
        let entry = |field: &Field| {
            let value = self.cbor_value(&shape["members"][&*field.name], &field.value);
            (Cbor::Text(field.name.to_string()), value)
        };
        let unknown = (Cbor::Text("~unknown".into()), Cbor::Array(vec![Cbor::Null, Cbor::Tag(9, Box::new(1.into()))]));
        Cbor::Map(std::iter::once(unknown).chain(fields.iter().map(entry)).collect())
    }

    fn cbor_value(&self, reference: &'a Json, value: &Value) -> Cbor {
        let shape = self.model.shape(reference);
        match value {
            Value::Structure(fields) => self.cbor_structure(shape, fields),
            Value::List(values) => {
                Cbor::Array(values.iter().map(|value| self.cbor_value(&shape["member"], value)).collect())
            }
            Value::Map(entries) => {
                let entry =
                    |(key, value): &(String, Value)| (Cbor::Text(key.clone()), self.cbor_value(&shape["value"], value));
                Cbor::Map(entries.iter().map(entry).collect())
            }
            Value::Bool(value) => Cbor::Bool(*value),
            Value::Blob(bytes) => Cbor::Bytes(bytes.to_vec()),
            Value::Time(time) => Cbor::Tag(1, Box::new(Cbor::Float(time.as_millisecond() as f64 / 1000.0))),
            Value::Number(number) => match number.as_i64() {
                Some(number) => Cbor::Integer(number.into()),
                None => Cbor::Float(number.as_f64().expect("a float")),
            },
            Value::Document(json) => Cbor::serialized(json).expect("a document"),
            value => Cbor::Text(self.scalar(reference, value)),
        }
    }

    pub(super) fn form_structure(
        &self,
        shape: &'a Json,
        fields: &[Field],
        prefix: &str,
        form: &mut Vec<(String, String)>,
    ) {
        for field in fields {
            let reference = &shape["members"][&*field.name];
            let name = self.model.text(reference, "locationName");
            let name = match (self.protocol, self.model.text(reference, "queryName")) {
                (Protocol::Ec2, Some(query)) => query.to_owned(),
                (Protocol::Ec2, None) => name.map_or_else(|| field.name.to_string(), capital),
                (_, _) => name.unwrap_or(&field.name).to_owned(),
            };
            let path = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            self.form_value(reference, &field.value, &path, form);
        }
    }

    fn form_value(&self, reference: &'a Json, value: &Value, path: &str, form: &mut Vec<(String, String)>) {
        let shape = self.model.shape(reference);
        match value {
            Value::Structure(fields) => self.form_structure(shape, fields, path, form),
            Value::List(values) => {
                let element = &shape["member"];
                let named = self.model.text(element, "locationName");
                let path = match (self.protocol, self.model.flag(reference, "flattened")) {
                    (Protocol::Ec2, _) => path.to_owned(),
                    (_, true) => match (named, path.rsplit_once('.')) {
                        (Some(named), Some((before, _))) => format!("{before}.{named}"),
                        (Some(named), None) => named.to_owned(),
                        (None, _) => path.to_owned(),
                    },
                    (_, false) => format!("{path}.{}", named.unwrap_or("member")),
                };
                for (at, value) in values.iter().enumerate() {
                    self.form_value(element, value, &format!("{path}.{}", at + 1), form);
                }
            }
            Value::Map(entries) => {
                let path = match self.model.flag(reference, "flattened") {
                    true => path.to_owned(),
                    false => format!("{path}.entry"),
                };
                let key = self.model.text(&shape["key"], "locationName").unwrap_or("key");
                let of = self.model.text(&shape["value"], "locationName").unwrap_or("value");
                for (at, (name, value)) in entries.iter().enumerate() {
                    form.push((format!("{path}.{}.{key}", at + 1), name.clone()));
                    self.form_value(&shape["value"], value, &format!("{path}.{}.{of}", at + 1), form);
                }
            }
            value => form.push((path.to_owned(), self.scalar(reference, value))),
        }
    }

    pub(super) fn xml_members(&self, shape: &'a Json, fields: &[Field], xml: &mut String) {
        for field in fields {
            let reference = &shape["members"][&*field.name];
            if reference["xmlAttribute"] == true {
                continue;
            }
            let name = self.model.text(reference, "locationName").unwrap_or(&field.name);
            self.xml_value(reference, name, &field.value, xml);
        }
    }

    pub(super) fn xml_value(&self, reference: &'a Json, name: &str, value: &Value, xml: &mut String) {
        let shape = self.model.shape(reference);
        match value {
            Value::Structure(fields) => {
                xml.push_str(&format!("<{name}"));
                for field in fields {
                    let member = &shape["members"][&*field.name];
                    if member["xmlAttribute"] == true {
                        let name = self.model.text(member, "locationName").unwrap_or(&field.name);
                        let text = escape(&self.scalar(member, &field.value));
                        xml.push_str(&format!(
                            " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" {name}=\"{text}\""
                        ));
                    }
                }
                xml.push('>');
                self.xml_members(shape, fields, xml);
                xml.push_str(&format!("</{name}>"));
            }
            Value::List(values) => {
                let element = &shape["member"];
                let named = self.model.text(element, "locationName");
                if self.model.flag(reference, "flattened") {
                    for value in values {
                        self.xml_value(element, name, value, xml);
                    }
                    return;
                }
                xml.push_str(&format!("<{name}>"));
                for value in values {
                    self.xml_value(element, named.unwrap_or("member"), value, xml);
                }
                xml.push_str(&format!("</{name}>"));
            }
            Value::Map(entries) => {
                let flattened = self.model.flag(reference, "flattened");
                let (open, close) = if flattened {
                    (String::new(), String::new())
                } else {
                    (format!("<{name}>"), format!("</{name}>"))
                };
                let entry = if flattened { name } else { "entry" };
                xml.push_str(&open);
                for (key, value) in entries {
                    let named = self.model.text(&shape["key"], "locationName").unwrap_or("key");
                    xml.push_str(&format!("<{entry}><{named}>{}</{named}>", escape(key)));
                    self.xml_value(
                        &shape["value"],
                        self.model.text(&shape["value"], "locationName").unwrap_or("value"),
                        value,
                        xml,
                    );
                    xml.push_str(&format!("</{entry}>"));
                }
                xml.push_str(&close);
            }
            value => xml.push_str(&format!("<{name}>{}</{name}>", escape(&self.scalar(reference, value)))),
        }
    }
}
