//! Going through a source in a fixed order: the files of a folder by name, then its folders by name.
//!
//! The order lets the last file that is done stand for all before it, however many there are. Only the names in the
//! folders on the way down are in memory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::path::Path;

use crate::failure::{FailureKind, Fault};
use crate::layout::Scope;
use crate::source_error;

/// A folder whose listing takes longer than this counts as unavailable.
const LONGEST_LISTING: Duration = Duration::from_secs(300);

/// A step of a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A folder with files of interest begins.
    Folder,
    /// A file of interest.
    File { path: String, size: u64 },
    /// The files of the folder that began last are through.
    FolderEnd,
    /// A folder cannot be listed.
    Unlistable { path: String, fault: Fault },
}

/// A walk over a source.
pub(crate) struct Walk {
    store: Arc<dyn ObjectStore>,
    scope: Scope,
    // Parts of the last file that is done.
    after: Option<Vec<String>>,
    // Folders to enter, the next one last.
    folders: Vec<String>,
    // What was found in the folder entered last.
    steps: VecDeque<Step>,
}

impl Walk {
    /// Begins at `root`, behind the file `after`.
    pub(crate) fn new(store: Arc<dyn ObjectStore>, scope: Scope, root: &str, after: Option<&str>) -> Self {
        let after = after.map(|path| path.split('/').map(str::to_owned).collect());
        Self { store, scope, after, folders: vec![root.to_owned()], steps: VecDeque::new() }
    }

    /// The next step; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Step> {
        loop {
            if let Some(step) = self.steps.pop_front() {
                return Some(step);
            }
            let folder = self.folders.pop()?;
            if let Err(fault) = self.enter(&folder).await {
                self.steps.push_back(Step::Unlistable { path: folder, fault });
            }
        }
    }

    async fn enter(&mut self, folder: &str) -> Result<(), Fault> {
        let slow = || Fault::new(FailureKind::SourceUnavailable, "listing the folder took too long");
        let path = Path::parse(folder)
            .map_err(|_| Fault::new(FailureKind::InvalidFormat, "a name in the folder cannot be used as a path"))?;
        let listing = self.store.list_with_delimiter(Some(&path));
        let listing = tokio::time::timeout(LONGEST_LISTING, listing).await.map_err(|_| slow())?;
        let listing = listing.map_err(|error| source_error::fault(&error))?;

        // What lies before the last file that is done was dealt with.
        let depth = if folder.is_empty() { 0 } else { folder.split('/').count() };
        let resumed = self.after.as_ref().filter(|after| {
            after.len() > depth && (depth == 0 || after[..depth].iter().map(String::as_str).eq(folder.split('/')))
        });
        let (last_file, last_folder) = match resumed {
            Some(after) if after.len() == depth + 1 => (Some(after[depth].clone()), None),
            Some(after) => (None, Some(after[depth].clone())),
            None => (None, None),
        };

        let mut folders: Vec<String> = listing.common_prefixes.into_iter().map(String::from).collect();
        folders.sort_unstable_by(|a, b| b.cmp(a));
        folders.retain(|path| {
            let done = last_folder.as_deref().is_some_and(|last| name(path) < last);
            !done && self.scope.enters(path)
        });
        self.folders.extend(folders);

        if last_folder.is_some() {
            return Ok(());
        }
        let mut files: Vec<(String, u64)> = listing
            .objects
            .into_iter()
            .map(|object| (String::from(object.location), object.size))
            .filter(|(path, size)| {
                // An empty object without an ending stands for a folder.
                let marker = *size == 0 && !name(path).contains('.');
                let done = last_file.as_deref().is_some_and(|last| name(path) <= last);
                !marker && !done && self.scope.takes(path)
            })
            .collect();
        files.sort_unstable();
        if files.is_empty() && last_file.is_none() {
            return Ok(());
        }
        if last_file.is_none() {
            self.steps.push_back(Step::Folder);
        }
        self.steps.extend(files.into_iter().map(|(path, size)| Step::File { path, size }));
        self.steps.push_back(Step::FolderEnd);
        Ok(())
    }
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    use super::*;
    use crate::import::TimeRange;

    async fn walk(store: &Arc<InMemory>, after: Option<&str>) -> Vec<Step> {
        let scope = Scope::new("r", true, &TimeRange::default());
        let mut walk = Walk::new(store.clone(), scope, "r", after);
        let mut steps = Vec::new();
        while let Some(step) = walk.next().await {
            steps.push(step);
        }
        steps
    }

    fn files(steps: &[Step]) -> Vec<String> {
        let file = |step: &Step| match step {
            Step::File { path, .. } => Some(path.clone()),
            _ => None,
        };
        steps.iter().filter_map(file).collect()
    }

    #[tokio::test]
    async fn a_walk_that_goes_on_anywhere_sees_exactly_the_rest() {
        let store = Arc::new(InMemory::new());
        for path in ["r/b.gz", "r/a.gz", "r/a/2.gz", "r/a/1.gz", "r/a-b/1.gz", "r/c/d/1.gz", "r/c/e.gz", "q/1.gz"] {
            store.put(&Path::from(path), "x".into()).await.unwrap();
        }
        let whole = walk(&store, None).await;
        let all = files(&whole);
        assert_eq!(all, ["r/a.gz", "r/b.gz", "r/a/1.gz", "r/a/2.gz", "r/a-b/1.gz", "r/c/e.gz", "r/c/d/1.gz"]);
        let count = |steps: &[Step], wanted: &Step| steps.iter().filter(|step| *step == wanted).count();
        assert_eq!((count(&whole, &Step::Folder), count(&whole, &Step::FolderEnd)), (5, 5));
        for (index, path) in all.iter().enumerate() {
            let rest = walk(&store, Some(path)).await;
            assert_eq!(files(&rest), all[index + 1..], "{path}");
            let before = &whole
                [..=whole.iter().position(|step| matches!(step, Step::File { path: p, .. } if p == path)).unwrap()];
            assert_eq!(count(before, &Step::Folder) + count(&rest, &Step::Folder), 5, "{path}");
            assert_eq!(count(before, &Step::FolderEnd) + count(&rest, &Step::FolderEnd), 5, "{path}");
        }
    }
}
