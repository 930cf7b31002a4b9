//! Pages of lists that fit in memory.
//!
//! A token names the last item of the page before, so that items added or removed between two calls neither repeat nor
//! hide others. It carries a checksum; a text that Towpath did not give out is refused.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use towpath_wire::ApiError;
use towpath_wire::errors;

use crate::refusal::refuse;

const MAX_PAGE: usize = 1000;

/// One page, in the order of the list.
pub(super) struct Page<'a, T> {
    pub(super) items: &'a [T],
    pub(super) next_token: Option<String>,
}

/// Cuts the page out of `items` that follows `token`; `name` is what identifies an item for good.
///
/// # Errors
/// `InvalidNextTokenException` for a token that was not given out, or whose item is gone.
pub(super) fn of<'a, T>(
    items: &'a [T],
    token: Option<&str>,
    max_results: Option<i32>,
    name: impl Fn(&T) -> String,
) -> Result<Page<'a, T>, ApiError> {
    let start = match token {
        None => 0,
        Some(token) => {
            let last = open(token).ok_or_else(invalid_token)?;
            1 + items.iter().position(|item| name(item) == last).ok_or_else(invalid_token)?
        }
    };
    let limit = max_results.and_then(|n| usize::try_from(n).ok()).unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    let end = items.len().min(start + limit);
    let next_token = (end < items.len()).then(|| seal(&name(&items[end - 1])));
    Ok(Page { items: &items[start..end], next_token })
}

fn seal(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{:08x}{name}", crc32c::crc32c(name.as_bytes())))
}

fn open(token: &str) -> Option<String> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let (checksum, name) = text.split_at_checked(8)?;
    (u32::from_str_radix(checksum, 16).ok()? == crc32c::crc32c(name.as_bytes())).then(|| name.to_owned())
}

fn invalid_token() -> ApiError {
    refuse(
        errors::INVALID_NEXT_TOKEN_EXCEPTION,
        "NextToken is not one that this operation gave out; start again without it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_pages(items: &[String], size: i32) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let page = of(items, token.as_deref(), Some(size), String::clone).unwrap();
            pages.push(page.items.to_vec());
            token = page.next_token;
            if token.is_none() {
                return pages;
            }
        }
    }

    #[test]
    fn pages_put_together_are_the_list() {
        let items: Vec<String> = (0..7).map(|n| n.to_string()).collect();
        for size in 1..9 {
            let pages = all_pages(&items, size);
            assert_eq!(pages.concat(), items);
            assert_eq!(pages.len(), items.len().div_ceil(size as usize));
        }
    }

    #[test]
    fn a_token_of_somebody_else_is_refused() {
        let items = ["a".to_owned(), "b".to_owned()];
        for token in ["", "nonsense", "!!", &seal("c"), &URL_SAFE_NO_PAD.encode("00000000a")] {
            let error = of(&items, Some(token), None, String::clone).err().unwrap();
            assert_eq!(error.code(), "InvalidNextTokenException", "{token}");
        }
    }
}
