//! How a client proves itself at the token, revocation and introspection endpoints (RFC 6749 2.3).
//!
//! It promises: one way at a time; a client gets in by the ways its settings allow and no other.
//! It never: tells an unknown client from a wrong secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use super::request::Request;
use super::rules::Refusal;
use super::settings::{Client, ClientAuth};

const FAILED: Refusal = Refusal::new("invalid_client", "client authentication failed");

/// The client that a request comes from.
///
/// # Errors
/// `invalid_client`, or `invalid_request` where it proves itself in two ways at once.
pub(super) fn authenticate<'a>(
    clients: &'a [Client],
    request: &Request,
) -> Result<&'a Client, Refusal> {
    let id = request.form.one("client_id")?;
    let secret = request.form.one("client_secret")?;
    let Some(header) = request.authorization() else {
        return posted(clients, id, secret);
    };
    if secret.is_some() {
        return Err(Refusal::new(
            "invalid_request",
            "the client proves itself in more than one way",
        ));
    }
    let client = basic(clients, header).ok_or(FAILED)?;
    if id.is_some_and(|id| id != client.id) {
        return Err(Refusal::new(
            "invalid_request",
            "`client_id` differs from the `Authorization` header's",
        ));
    }
    Ok(client)
}

fn basic<'a>(clients: &'a [Client], header: &str) -> Option<&'a Client> {
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (raw_id, raw_secret) = credentials.split_once(':')?;
    let decoded = form_decoded(raw_id).zip(form_decoded(raw_secret));
    clients.iter().find(|client| {
        let (id, secret) = match (client.auth, &decoded) {
            (ClientAuth::Any | ClientAuth::Basic, Some((id, secret))) => (&**id, &**secret),
            (ClientAuth::BasicRaw, _) => (raw_id, raw_secret),
            _ => return false,
        };
        let expected = client.secret.as_ref();
        client.id == id && expected.is_some_and(|it| it.equals(secret.as_bytes()))
    })
}

fn posted<'a>(
    clients: &'a [Client],
    id: Option<&str>,
    secret: Option<&str>,
) -> Result<&'a Client, Refusal> {
    let client = id
        .and_then(|id| clients.iter().find(|client| client.id == id))
        .ok_or(FAILED)?;
    let proven = match (&client.secret, secret) {
        (None, None) => true,
        (Some(expected), Some(secret)) => {
            matches!(client.auth, ClientAuth::Any | ClientAuth::Post)
                && expected.equals(secret.as_bytes())
        }
        _ => false,
    };
    if proven { Ok(client) } else { Err(FAILED) }
}

fn form_decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn client(id: &str, auth: ClientAuth) -> Client {
        Client {
            id: id.to_owned(),
            secret: Some(Secret::new(String::from("p+s:%41"))),
            redirect_uris: Vec::new(),
            auth,
        }
    }

    fn header(credentials: &str) -> String {
        format!("bAsIc {}", STANDARD.encode(credentials))
    }

    #[test]
    fn basic_is_form_decoded_unless_the_client_is_one_of_the_raw_kind() {
        let clients = [
            client("a b", ClientAuth::Basic),
            client("raw", ClientAuth::BasicRaw),
        ];
        let found = |credentials: &str| basic(&clients, &header(credentials)).map(|it| &*it.id);
        assert_eq!(found("a+b:p%2Bs%3A%2541"), Some("a b"));
        assert_eq!(found("a b:p+s:%41"), None);
        assert_eq!(found("raw:p+s:%41"), Some("raw"));
        assert_eq!(found("raw:p%2Bs%3A%2541"), None);
        assert_eq!(found("raw"), None);
        assert!(basic(&clients, "Basic !!!").is_none());
        assert!(basic(&clients, "Bearer x").is_none());
    }

    #[test]
    fn a_client_gets_in_only_the_way_it_is_set_to() {
        let clients = [
            client("post", ClientAuth::Post),
            client("basic", ClientAuth::Basic),
        ];
        assert!(posted(&clients, Some("post"), Some("p+s:%41")).is_ok());
        assert!(posted(&clients, Some("post"), None).is_err());
        assert!(posted(&clients, Some("basic"), Some("p+s:%41")).is_err());
        assert!(basic(&clients, &header("post:p%2Bs%3A%2541")).is_none());
    }
}
