//! The rules for one operation: what the general profile says, then what the service's says, in the order they stand in.

use serde_json::Value as Json;
use towpath_admit::HIDDEN;

use super::document::{Document, EventCategory, Header, OperationRule, SensitiveMembers, SideRule, TimeForm};
use super::filling::Filling;
use super::paths::{Action, MemberPath, Paths, Walk};
use super::template::ResourceRule;

/// What holds for the records of one operation.
#[derive(Clone, Debug)]
pub(crate) struct OperationRules {
    /// The `eventName`.
    pub(crate) event_name: String,
    /// Whether it changes anything, where a profile says.
    pub(crate) read_only: Option<bool>,
    /// Management or data event.
    pub(crate) category: EventCategory,
    /// Whether its answer is recorded, where a profile says.
    pub(crate) answer: Option<bool>,
    /// What becomes of members that the model marks as sensitive.
    pub(crate) sensitive: SensitiveMembers,
    /// Members of requestParameters that are made of the call.
    pub(crate) fill: Vec<(String, Filling)>,
    pub(crate) request: SideRules,
    pub(crate) response: SideRules,
    pub(crate) resources: Vec<ResourceRule>,
}

/// What holds for requestParameters or responseElements.
#[derive(Clone, Debug, Default)]
pub(crate) struct SideRules {
    actions: Paths,
    renames: Paths,
    /// The top-level members that are printed, by the names they have in the record; `None` for all.
    pub(crate) only: Option<Vec<String>>,
    /// The names that come first, as in the record.
    pub(crate) order: Vec<String>,
    /// Members that are printed if the call has none of that name.
    pub(crate) add: Vec<(String, Json)>,
    /// Headers of the answer that are printed at the end.
    pub(crate) headers: Vec<ResponseHeader>,
    /// True if an answer that is one structure alone is printed without the name of it.
    pub(crate) unwrap: bool,
    /// True if empty lists, maps and structures are left out.
    pub(crate) leave_out_empty: bool,
    /// How moments are printed; `None` for what is usual for the protocol.
    pub(crate) times: Option<TimeForm>,
}

/// A header of the answer that is printed.
#[derive(Clone, Debug)]
pub(crate) struct ResponseHeader {
    pub(crate) name: String,
    /// What is printed if the answer has no such header.
    pub(crate) default: Option<String>,
}

impl OperationRules {
    /// Puts together what the documents say of an operation; later ones prevail.
    pub(super) fn compile(operation: &str, documents: [&Document; 2]) -> Self {
        let mut rules = Self {
            event_name: operation.to_owned(),
            read_only: None,
            category: EventCategory::default(),
            answer: None,
            sensitive: SensitiveMembers::default(),
            fill: Vec::new(),
            request: SideRules::default(),
            response: SideRules::default(),
            resources: Vec::new(),
        };
        for document in documents {
            rules.sensitive = document.sensitive.unwrap_or(rules.sensitive);
            for side in [&mut rules.request, &mut rules.response] {
                side.times = document.times.or(side.times);
            }
            for rule in document.operations.iter().filter(|rule| rule.applies_to(operation)) {
                rules.apply(operation, rule);
            }
            rules.resources.extend(document.resources.iter().filter_map(|it| ResourceRule::of(it, operation)));
        }
        rules
    }

    fn apply(&mut self, operation: &str, rule: &OperationRule) {
        if let Some(name) = &rule.event_name {
            self.event_name = name.replace("{}", operation);
        }
        self.read_only = rule.read_only.or(self.read_only);
        self.category = rule.category.unwrap_or(self.category);
        self.answer = rule.answer.or(self.answer);
        // Profiles are checked when they are read.
        let filled = rule.fill.iter().filter_map(|(name, value)| Some((name.clone(), Filling::parse(value).ok()?)));
        self.fill.extend(filled);
        self.request.apply(&rule.request);
        self.response.apply(&rule.response);
    }
}

impl SideRules {
    fn apply(&mut self, rule: &SideRule) {
        let mut add = |paths: &[String], action: &Action| {
            // Paths are checked when a profile is read.
            for path in paths.iter().filter_map(|path| MemberPath::parse(path).ok()) {
                self.actions.add(path, action.clone());
            }
        };
        add(&rule.show, &Action::Show);
        add(&rule.hash, &Action::Hash);
        for (path, text) in &rule.replace {
            add(std::slice::from_ref(path), &Action::Replace(text.as_str().into()));
        }
        add(&rule.hide, &Action::Replace(HIDDEN.into()));
        add(&rule.drop, &Action::Drop);
        for (path, name) in &rule.rename {
            if let Ok(path) = MemberPath::parse(path) {
                self.renames.add(path, Action::Replace(name.as_str().into()));
            }
        }
        if let Some(only) = &rule.only {
            self.only = Some(only.clone());
        }
        if !rule.order.is_empty() {
            self.order.clone_from(&rule.order);
        }
        for (name, value) in &rule.add {
            self.add.retain(|(other, _)| other != name);
            self.add.push((name.clone(), value.clone()));
        }
        self.headers.extend(
            rule.headers
                .iter()
                .map(|Header { name, default }| ResponseHeader { name: name.clone(), default: default.clone() }),
        );
        self.unwrap = rule.unwrap.unwrap_or(self.unwrap);
        self.leave_out_empty = rule.leave_out_empty.unwrap_or(self.leave_out_empty);
        self.times = rule.times.or(self.times);
    }

    /// The way to members, by what is done with them.
    pub(crate) fn actions(&self) -> Walk<'_> {
        self.actions.walk()
    }

    /// The way to members, by their names in records.
    pub(crate) fn renames(&self) -> Walk<'_> {
        self.renames.walk()
    }

    /// Where a member stands among the others: those that the profile orders first, by that order.
    pub(crate) fn rank(&self, name: &str) -> usize {
        self.order.iter().position(|known| known == name).unwrap_or(usize::MAX)
    }
}

impl Default for OperationRules {
    fn default() -> Self {
        Self::compile("", [&Document::default(), &Document::default()])
    }
}
