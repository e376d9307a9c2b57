//! Proofs of providers' own making on the redirect back to us: what is no data. One function each,
//! of the name that [`CallbackCheck`] has for it.
//!
//! It promises: an app whose provider signs its redirects takes none that is not signed.
//! It never: redeems anything.

use ring::hmac::{HMAC_SHA256, Key, verify};

use crate::model::app::OAuth;
use crate::model::dialect::CallbackCheck;
use crate::secret::Secret;

/// A redirect back to us: every parameter, decoded, in order.
pub type Callback = [(String, Secret<String>)];

/// Checks what a provider's redirect must prove beside its state.
///
/// # Errors
/// What is wrong with it, for the person and the record.
pub fn check_callback(
    app: &OAuth,
    client_secret: Option<&Secret<String>>,
    callback: &Callback,
) -> Result<(), &'static str> {
    match app.dialect.callback_check {
        None => Ok(()),
        Some(CallbackCheck::HmacSha256Hex) => hmac_sha256_hex(client_secret, callback),
    }
}

/// `hmac` is the HMAC-SHA256, in hexadecimal digits, of all other parameters, sorted by name and
/// joined as `name=value` by `&`; the key is the client secret (Shopify).
fn hmac_sha256_hex(
    client_secret: Option<&Secret<String>>,
    callback: &Callback,
) -> Result<(), &'static str> {
    let secret = client_secret.ok_or("the app has no client secret to check the answer with")?;
    let mut said = callback.iter().filter(|(name, _)| name == "hmac");
    let (Some((_, said)), None) = (said.next(), said.next()) else {
        return Err("the answer is not signed, though it should be");
    };
    let others = callback.iter().filter(|(name, _)| name != "hmac");
    let mut others: Vec<(&str, &str)> = others
        .map(|(name, value)| (name.as_str(), value.expose().as_str()))
        .collect();
    others.sort_unstable();
    let others: Vec<String> = others
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let signed = Secret::new(others.join("&"));
    let key = Key::new(HMAC_SHA256, secret.expose().as_bytes());
    let digest = from_hex(said.expose()).ok_or("the answer's signature is none")?;
    verify(&key, signed.expose().as_bytes(), &digest)
        .map_err(|_| "the answer's signature is not the provider's")
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use ring::hmac::sign;

    use super::*;
    use crate::secret::hex;

    fn param(name: &str, value: &str) -> (String, Secret<String>) {
        (name.to_owned(), Secret::new(value.to_owned()))
    }

    fn callback(pairs: &[(&str, &str)]) -> Vec<(String, Secret<String>)> {
        pairs
            .iter()
            .map(|(name, value)| param(name, value))
            .collect()
    }

    #[test]
    fn a_signed_redirect_is_taken_and_no_other() {
        let mut app = OAuth::of("client");
        let secret = Secret::new("hush".to_owned());
        let plain = callback(&[("shop", "a.myshopify.com"), ("code", "c"), ("state", "s")]);
        assert!(check_callback(&app, None, &plain).is_ok());
        app.dialect.callback_check = Some(CallbackCheck::HmacSha256Hex);
        let key = Key::new(HMAC_SHA256, b"hush");
        let digest = sign(&key, b"code=c&shop=a.myshopify.com&state=s");
        let mut signed = plain.clone();
        signed.push(param("hmac", &hex(digest.as_ref())));
        assert!(check_callback(&app, Some(&secret), &signed).is_ok());
        let wrong = Secret::new("other".to_owned());
        assert!(check_callback(&app, Some(&wrong), &signed).is_err());
        assert!(check_callback(&app, None, &signed).is_err());
        assert!(check_callback(&app, Some(&secret), &plain).is_err());
        let mut moved = signed.clone();
        moved[0] = param("shop", "evil.myshopify.com");
        assert!(check_callback(&app, Some(&secret), &moved).is_err());
        let mut more = signed.clone();
        more.push(param("host", "x"));
        assert!(check_callback(&app, Some(&secret), &more).is_err());
        for bad in ["", "zz", "abc"] {
            let mut spoilt = plain.clone();
            spoilt.push(param("hmac", bad));
            assert!(check_callback(&app, Some(&secret), &spoilt).is_err());
        }
    }
}
