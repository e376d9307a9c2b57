//! Who asks, in the words of Descope's clients: a project and a key in one bearer.
//!
//! ```text
//! Bearer <project id>:<access key>             every client with a management key
//! Bearer <project id>:<access key>:<more>      with a second key, which says nothing here
//! Bearer <access key>                          older ones; the project, if said, in a header
//! ```
//! An access key has no colon, so that the first one ends the project id.
//!
//! It promises: a key counts for the project that is named with it, or for ours where none is.
//! It never: decides whether a key is any good.

use http::HeaderMap;

use crate::secret::Secret;

const PROJECT_HEADER: &str = "x-descope-project-id";

/// The access key that is presented for `project`; none where there is none, or another project is
/// meant.
pub fn access_key(
    bearer: &str,
    headers: &HeaderMap,
    project: Option<&str>,
) -> Option<Secret<String>> {
    let mut parts = bearer.splitn(3, ':');
    let first = parts.next().unwrap_or_default();
    let (named, key) = match parts.next() {
        Some(key) => (Some(first), key),
        None => {
            let header = headers.get(PROJECT_HEADER);
            (
                header.map(|value| value.to_str().unwrap_or_default()),
                first,
            )
        }
    };
    let is_ours = named.is_none_or(|named| Some(named) == project);
    (is_ours && !key.is_empty()).then(|| Secret::new(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_key_counts_for_its_own_project_in_each_form() {
        let key = |bearer: &str, header: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(project) = header {
                headers.insert(PROJECT_HEADER, HeaderValue::from_static(project));
            }
            access_key(bearer, &headers, Some("Pours")).map(|key| key.expose().clone())
        };
        let presented = Some("sr_1_2".to_owned());
        for good in ["Pours:sr_1_2", "Pours:sr_1_2:second", "Pours:sr_1_2:"] {
            assert_eq!(key(good, None), presented, "{good}");
            // The SDKs say it in both places; what stands with the key counts.
            assert_eq!(key(good, Some("Pother")), presented, "{good}");
        }
        assert_eq!(key("sr_1_2", Some("Pours")), presented);
        assert_eq!(key("sr_1_2", None), presented);
        for bad in ["Pother:sr_1_2", ":sr_1_2", "Pours:", "Pours::sr_1_2", ""] {
            assert_eq!(key(bad, None), None, "{bad}");
        }
        assert_eq!(key("sr_1_2", Some("Pother")), None);
    }
}
