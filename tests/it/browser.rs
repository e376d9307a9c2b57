//! A browser without a screen: follows redirects by hand, keeps cookies per host, fills in forms.
//!
//! It promises: what it does is what a person's browser would do, and what came back is kept.
//! It never: runs a script.

use std::collections::BTreeMap;

use crate::support::client;

/// A browser without a screen: follows redirects by hand, keeps cookies per host, fills in forms.
pub struct Browser {
    client: reqwest::Client,
    cookies: BTreeMap<(String, String), String>,
    pub trail: Vec<String>,
}

/// A page as it came.
pub struct Page {
    pub status: u16,
    pub url: String,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Browser {
    pub fn new() -> Self {
        Self::over(client())
    }

    /// A browser whose connections are this client's.
    pub fn over(client: reqwest::Client) -> Self {
        Self {
            client,
            cookies: BTreeMap::new(),
            trail: vec![],
        }
    }

    /// One request; no redirect is followed.
    pub async fn send(&mut self, method: &str, url: &str, form: Option<&[(&str, &str)]>) -> Page {
        let parsed = reqwest::Url::parse(url).unwrap();
        let host = host_of(&parsed);
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, url);
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .filter(|((of, _), _)| *of == host)
            .map(|((_, name), value)| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        if let Some(form) = form {
            let mut body = form_urlencoded::Serializer::new(String::new());
            body.extend_pairs(form);
            request = request
                .header("content-type", "application/x-www-form-urlencoded")
                .header("origin", parsed.origin().ascii_serialization())
                .body(body.finish());
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        for set in headers.get_all("set-cookie") {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies
                .insert((host.clone(), name.to_owned()), value.to_owned());
        }
        self.trail.push(url.to_owned());
        Page {
            status,
            url: url.to_owned(),
            headers,
            text: answer.text().await.unwrap(),
        }
    }

    /// One request, and every redirect after it.
    pub async fn follow(&mut self, method: &str, url: &str, form: Option<&[(&str, &str)]>) -> Page {
        let mut page = self.send(method, url, form).await;
        for _ in 0..10 {
            let Some(place) = page.location() else {
                return page;
            };
            page = self.send("GET", &place, None).await;
        }
        panic!("too many redirects: {:?}", self.trail);
    }

    pub async fn open(&mut self, url: &str) -> Page {
        self.follow("GET", url, None).await
    }

    /// Submits the form of `page` whose action ends with `action`, hidden fields and all.
    pub async fn submit(&mut self, page: &Page, action: &str, fields: &[(&str, &str)]) -> Page {
        let (url, hidden) = page.form(action);
        let mut all: Vec<(&str, &str)> = hidden
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        all.extend_from_slice(fields);
        self.follow("POST", &url, Some(&all)).await
    }

    /// The cookies it keeps, by name.
    pub fn cookies(&self) -> Vec<(String, String)> {
        self.cookies
            .iter()
            .map(|((_, name), value)| (name.clone(), value.clone()))
            .collect()
    }

    /// Plants a cookie for the host of `url`.
    pub fn plant(&mut self, url: &str, name: &str, value: &str) {
        let host = host_of(&reqwest::Url::parse(url).unwrap());
        self.cookies
            .insert((host, name.to_owned()), value.to_owned());
    }

    /// Signs in at the sandbox and consents; ends wherever that leads.
    pub async fn consent(&mut self, login: &Page, user: &str, password: &str) -> Page {
        let consent = self
            .submit(login, "/login", &[("user", user), ("password", password)])
            .await;
        self.submit(&consent, "/consent", &[("decision", "allow")])
            .await
    }
}

impl Page {
    pub fn location(&self) -> Option<String> {
        let place = self.headers.get("location")?.to_str().unwrap();
        let base = reqwest::Url::parse(&self.url).unwrap();
        Some(base.join(place).unwrap().into())
    }

    /// The action and hidden (or ticked) fields of the form whose action ends with `action`.
    pub fn form(&self, action: &str) -> (String, Vec<(String, String)>) {
        let form = self
            .text
            .split("<form")
            .skip(1)
            .map(|rest| rest.split("</form>").next().unwrap())
            .find(|form| {
                let own = attribute(form, "action").unwrap_or_default();
                own.split('?').next().unwrap().ends_with(action)
            })
            .unwrap_or_else(|| panic!("no form {action} in {}", self.text));
        let base = reqwest::Url::parse(&self.url).unwrap();
        let action = attribute(form, "action").unwrap_or_default();
        let url = base.join(&action).unwrap();
        let fields = form.split("<input").skip(1).filter_map(|rest| {
            let tag = rest.split('>').next().unwrap();
            let kind = attribute(tag, "type").unwrap_or_default();
            let ticked = kind == "checkbox" && tag.contains("checked");
            (kind == "hidden" || ticked).then(|| {
                (
                    attribute(tag, "name").unwrap(),
                    attribute(tag, "value").unwrap_or_default(),
                )
            })
        });
        (url.into(), fields.collect())
    }
}

fn host_of(url: &reqwest::Url) -> String {
    format!("{}:{:?}", url.host_str().unwrap(), url.port())
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = tag.find(&format!("{name}=\""))? + name.len() + 2;
    let value = tag[start..].split('"').next()?;
    Some(value.replace("&amp;", "&").replace("&quot;", "\""))
}
