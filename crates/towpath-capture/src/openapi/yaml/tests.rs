//! What must hold for documents in YAML.

use serde_json::json;

use super::*;

#[test]
fn yaml_is_read_as_the_json_that_it_stands_for() {
    let text = "a: [1, 0x1F, 0o17, 1.5, -2, +3, .inf, ~, true, 'true', 2026-11-21]\n200: x\nb: &n {c: '1'}\nd: *n\n\
                e: !!str 7\nf: |\n  two\n  lines\n";
    assert_eq!(
        read(text).unwrap(),
        json!({
            "a": [1, 31, 15, 1.5, -2, 3, ".inf", null, true, "true", "2026-11-21"], "200": "x", "b": {"c": "1"},
            "d": {"c": "1"}, "e": "7", "f": "two\nlines\n",
        })
    );
    assert!(read("a: 1\na: 2").unwrap_err().to_string().contains("stands twice"));
    assert!(matches!(read("a: 1\n---\nb: 2"), Err(YamlError::Documents(2))));
    assert!(matches!(read(""), Err(YamlError::Documents(0))));
    assert!(matches!(read(&"[".repeat(3000)), Err(YamlError::Bounds | YamlError::Grammar(_))));
}

#[test]
fn a_small_yaml_text_cannot_become_a_large_value() {
    let mut text = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n".to_owned();
    for level in 1..10 {
        let alias = format!("*a{}", level - 1);
        text.push_str(&format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 10].join(",")));
    }
    assert!(matches!(read(&text), Err(YamlError::Bounds)));
}
