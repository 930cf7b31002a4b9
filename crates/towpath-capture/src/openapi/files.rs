//! Documents of several files: what references to other files lead to is taken in, and the references are changed to lead
//! there, so that everything after this knows one document.
//!
//! Files are looked for beside the document and in folders below it. A reference to another place, or to an address, is
//! refused: what a document names must not decide what of the machine or of the network is read.

use std::collections::VecDeque;
use std::path::{Component, Path, PathBuf};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value as Json};

use super::document::DocumentError;
use super::references::is_opaque;
use super::{ApiError, MAX_FILE, yaml};

/// The member of the document that holds the files taken in. No document has one of this name.
const FILES: &str = "$files";
/// The most files of a document.
const MAX_FILES: usize = 512;
/// Letters that would mean something else in a reference.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%').add(b'"').add(b' ');

/// Reads a document and all files that it refers to.
pub(super) fn read(document: &Path) -> Result<Json, ApiError> {
    let folder = document.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let unreadable = |path: &Path, cause| ApiError::Read { path: path.to_owned(), cause };
    let real = |path: &Path| path.canonicalize().map_err(|cause| unreadable(path, cause));
    let (root, first) = (real(folder)?, real(document)?);
    let mut reading = Reading { root, files: vec![first.clone()], left: VecDeque::from([first]), bytes: 0 };
    let mut read: Vec<Json> = Vec::new();
    while let Some(path) = reading.left.pop_front() {
        let mut json = reading.open(&path)?;
        reading.rewrite(&mut json, &path, read.len()).map_err(|cause| ApiError::Document { path, cause })?;
        read.push(json);
    }
    let mut read = read.into_iter();
    let mut root = read.next().unwrap_or_default();
    let others: Map<_, _> = (1..).map(|at: usize| at.to_string()).zip(read).collect();
    if let Some(root) = root.as_object_mut() {
        root.remove(FILES);
        if !others.is_empty() {
            root.insert(FILES.to_owned(), Json::Object(others));
        }
    }
    Ok(root)
}

struct Reading {
    /// The folder that all files are in.
    root: PathBuf,
    /// All files, in the order they were named; their places are their names in the document.
    files: Vec<PathBuf>,
    /// Those that are not read yet.
    left: VecDeque<PathBuf>,
    bytes: u64,
}

impl Reading {
    fn open(&mut self, path: &Path) -> Result<Json, ApiError> {
        let text = super::read(path)?;
        self.bytes += text.len() as u64;
        if self.bytes > MAX_FILE {
            let cause = std::io::Error::other(format!("the document's files have more than {MAX_FILE} bytes together"));
            return Err(ApiError::Read { path: path.to_owned(), cause });
        }
        // JSON is YAML, but its errors are better where it is read as JSON.
        if text.trim_start().starts_with(['{', '[']) {
            serde_json::from_str(&text).map_err(|cause| ApiError::Json { path: path.to_owned(), cause })
        } else {
            yaml::read(&text).map_err(|cause| ApiError::Yaml { path: path.to_owned(), cause })
        }
    }

    /// Changes the references of a file, the one with this number, to where they lead in the whole.
    fn rewrite(&mut self, json: &mut Json, path: &Path, number: usize) -> Result<(), DocumentError> {
        let mut left = vec![(json, false)];
        while let Some((node, names_are_data)) = left.pop() {
            match node {
                Json::Array(items) => left.extend(items.iter_mut().map(|item| (item, false))),
                Json::Object(members) => {
                    if let (false, Some(Json::String(reference))) = (names_are_data, members.get_mut("$ref")) {
                        *reference = self.led(reference, path, number)?;
                    }
                    let kept = members.iter_mut().filter(|(name, _)| names_are_data || !is_opaque(name));
                    left.extend(kept.map(|(name, value)| (value, !names_are_data && name == "properties")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Where a reference leads in the whole.
    fn led(&mut self, reference: &str, from: &Path, number: usize) -> Result<String, DocumentError> {
        let (file, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        let number = if file.is_empty() { number } else { self.number(reference, file, from)? };
        Ok(match number {
            0 => format!("#{pointer}"),
            number => format!("#/{FILES}/{number}{}", utf8_percent_encode(&decoded(pointer), ESCAPED)),
        })
    }

    /// The number of a file that is referred to.
    fn number(&mut self, reference: &str, file: &str, from: &Path) -> Result<usize, DocumentError> {
        let wrong = |why| DocumentError::Reference { reference: reference.to_owned(), why };
        let scheme = file.split_once(':').is_some_and(|(scheme, _)| !scheme.contains(['/', '.']));
        if scheme || file.starts_with("//") || file.contains('?') {
            return Err(wrong("is an address, and nothing is fetched; put the file into the document's folder"));
        }
        let decoded = decoded(file);
        let outside = || wrong("leads out of the document's folder");
        if decoded.contains(['\\', '\0']) || Path::new(&decoded).is_absolute() {
            return Err(outside());
        }
        let mut path = from.parent().unwrap_or(&self.root).to_owned();
        for component in Path::new(&decoded).components() {
            match component {
                Component::Normal(name) => path.push(name),
                Component::CurDir => {}
                // Never above the folder, not even on the way back into it.
                Component::ParentDir if path != self.root && path.pop() => {}
                _ => return Err(outside()),
            }
        }
        // A link may lead elsewhere.
        let path = path.canonicalize().map_err(|_| wrong("leads to a file that is not there"))?;
        if !path.starts_with(&self.root) {
            return Err(outside());
        }
        if let Some(at) = self.files.iter().position(|known| *known == path) {
            return Ok(at);
        }
        if self.files.len() >= MAX_FILES {
            return Err(wrong("leads to one file too many"));
        }
        self.files.push(path.clone());
        self.left.push_back(path);
        Ok(self.files.len() - 1)
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn with(files: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            for (name, text) in files {
                let path = folder.path().join("api").join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            fs::write(folder.path().join("outside.yaml"), "secret: 1").unwrap();
            Self(folder)
        }

        fn read(&self) -> Result<Json, ApiError> {
            read(&self.0.path().join("api/main.yaml"))
        }

        fn refusal(&self) -> String {
            self.read().unwrap_err().to_string()
        }
    }

    #[test]
    fn references_to_other_files_lead_into_the_one_document() {
        let folder = Folder::with(&[
            ("main.yaml", "paths: {/a: {$ref: 'paths/a.yaml'}}\nb: {$ref: './paths/a.yaml#/get'}\nc: {$ref: '#/b'}"),
            (
                "paths/a.yaml",
                "get: {x: {$ref: '../schemas.json#/One%20Two'}, y: {$ref: '#/get/x'}, z: {$ref: '../main.yaml#/b'}}",
            ),
            (
                "schemas.json",
                r##"{"One Two": {"properties": {"$ref": {"type": "string"}, "self": {"$ref": "#/One Two"}}, "example": {"$ref": "x"}}}"##,
            ),
        ]);
        let read = folder.read().unwrap();
        assert_eq!(read["paths"]["/a"], json!({"$ref": "#/$files/1"}));
        assert_eq!((&read["b"]["$ref"], &read["c"]["$ref"]), (&json!("#/$files/1/get"), &json!("#/b")));
        let a = &read["$files"]["1"]["get"];
        assert_eq!(a["x"]["$ref"], "#/$files/2/One%20Two");
        assert_eq!((&a["y"]["$ref"], &a["z"]["$ref"]), (&json!("#/$files/1/get/x"), &json!("#/b")));
        let schema = &read["$files"]["2"]["One Two"];
        assert_eq!(schema["properties"]["self"]["$ref"], "#/$files/2/One%20Two");
        assert_eq!(schema["example"]["$ref"], "x");
        super::super::references::check_references(&read).unwrap();
    }

    #[test]
    fn nothing_outside_of_the_documents_folder_is_read() {
        let to = |reference: &str| {
            Folder::with(&[("main.yaml", &format!("a: {{$ref: '{reference}'}}")), ("in/b.yaml", "{}")])
        };
        for outside in [
            "../outside.yaml",
            "in/../../outside.yaml",
            "/etc/hostname",
            "%2e%2e/outside.yaml",
            "..\\outside.yaml",
            "../api/in/b.yaml",
        ] {
            assert!(to(outside).refusal().contains("leads out of the document's folder"), "{outside}");
        }
        for address in ["https://example.org/a.yaml", "file:///etc/passwd", "//host/a.yaml", "http:a", "a.yaml?b"] {
            assert!(to(address).refusal().contains("is an address"), "{address}");
        }
        let absent = to("in/c.yaml#/x").refusal();
        assert!(absent.contains("in/c.yaml#/x") && absent.contains("not there"), "{absent}");
        assert!(to("in/../in/b.yaml").read().is_ok());
        #[cfg(unix)]
        {
            let folder = to("in/link.yaml");
            std::os::unix::fs::symlink(folder.0.path().join("outside.yaml"), folder.0.path().join("api/in/link.yaml"))
                .unwrap();
            assert!(folder.refusal().contains("leads out of the document's folder"));
        }
    }

    #[test]
    fn files_that_are_none_are_named() {
        let folder = Folder::with(&[("main.yaml", "a: {$ref: 'b.json'}"), ("b.json", "{")]);
        assert!(folder.refusal().contains("b.json"));
    }
}
