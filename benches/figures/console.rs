//! The operator's console against the record count: each screen, and what pages leave in memory.
//!
//! Measures: processor time of the server for a whole page, signed in by a key, of each screen that
//! could read more where there are more tokens, at every count of the run, and the ratio to a page
//! of the table at the least count; a page deep in the table, by its cursor; resident memory after
//! many pages and after as many again. Does not measure: the browser, or the filling of an older
//! vault's indexes (a kept set of an earlier version has to be filled first: until it is, a list
//! answers with what it has read).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Outcome;
use crate::answers::{digits, find};
use crate::dataset::{Replica, Shelf};
use crate::plan::Plan;
use crate::process::Server;
use crate::report::{Bound, table, target};
use crate::rounds::{Rounds, number};

/// Longest wait for one page.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many pages into the table a deep page lies.
const DEEP: usize = 40;
/// Tokens on a page of the table.
const TOKENS_A_PAGE: usize = 50;
/// Pages of one kind in a round.
const PAGES: usize = 100;
/// Pages after which memory is looked at first. A fifth of them are of users not looked at before:
/// by each of these the store's cache of 32 MiB grows by some 10 KiB until it is full.
const WARM: usize = 30_000;
/// What a screen may cost at the most records, beside one page of the table at the least: a deeper
/// tree, colder caches.
const TIMES: f64 = 1.5;
/// What as many pages again may add to memory.
const GROWTH: f64 = 1.05;

/// Where the table stands among the screens.
const TABLE: usize = 1;

/// A screen, and what has to stand on it.
struct Screen {
    name: &'static str,
    /// Its place, for the so-many-th page.
    place: Box<dyn Fn(usize) -> String>,
    words: &'static str,
}

/// Runs the section.
pub fn run(plan: &Plan, data: &mut Shelf) -> Outcome<()> {
    let (mut lines, mut first) = (Vec::new(), Vec::new());
    for records in &plan.records {
        let copy = data.copy(*records)?;
        let mut visit = Visit::begin(plan, &copy)?;
        let deep = visit.deep(DEEP.min((records - 1) / TOKENS_A_PAGE))?;
        let screens = screens(*records, deep);
        let costs = screens
            .iter()
            .map(|screen| visit.cost(plan, screen))
            .collect::<Outcome<Vec<Rounds>>>()?;
        let mut line = vec![number(*records as f64)];
        line.extend(costs.iter().map(ToString::to_string));
        lines.push(line);
        let cost: Vec<f64> = costs.iter().map(Rounds::median).collect();
        match first.is_empty() {
            true => first = cost,
            false => judge(*records, &screens, first[TABLE], &cost),
        }
        memory(plan, &visit, &screens, *records)?;
        visit.server.end()?;
    }
    let named = screens(1, String::new());
    let mut head = vec!["CPU us a page, records"];
    head.extend(named.iter().map(|screen| screen.name));
    table(&head, &lines);
    Ok(())
}

/// Every screen that reads tokens.
fn screens(records: usize, deep: String) -> Vec<Screen> {
    let screen = |name, words, place: Box<dyn Fn(usize) -> String>| Screen { name, place, words };
    let user = move |turn: usize| digits(turn * 7919 % records);
    vec![
        screen("health", "Health", Box::new(|_| "/console/health".into())),
        screen("table", "u0", Box::new(|_| "/console/tokens".into())),
        screen("deep", "u0", Box::new(move |_| deep.clone())),
        screen(
            "by user",
            "u0",
            Box::new(move |turn| format!("/console/tokens?user=u{}", user(turn))),
        ),
        screen(
            "by state",
            "Nothing fits",
            Box::new(|_| "/console/tokens?state=reconnect_required".into()),
        ),
    ]
}

/// Whatever is asked for, the answer takes the time of one page.
fn judge(records: usize, screens: &[Screen], one_page: f64, costs: &[f64]) {
    for (screen, cost) in screens.iter().zip(costs) {
        let what = format!(
            "{} at {records} records / one page of the table at the least",
            screen.name
        );
        target(&what, cost / one_page, Bound::AtMost(TIMES));
    }
}

/// Memory after many pages of every kind, and after as many again.
fn memory(plan: &Plan, visit: &Visit, screens: &[Screen], records: usize) -> Outcome<()> {
    let pages = plan.choose(20, WARM);
    let begun = visit.server.resident_mib()?;
    let mut after = [0.0; 2];
    for (part, seen) in after.iter_mut().enumerate() {
        for turn in 0..pages {
            let screen = &screens[turn % screens.len()];
            visit.page(&(screen.place)(part * pages + turn), screen.words)?;
        }
        *seen = visit.server.resident_mib()?;
    }
    let [warm, again] = after.map(number);
    let what = format!(
        "memory at {records} records: {} MiB, after {pages} pages {warm}, after as many again \
         {again}; the second beside the first",
        number(begun)
    );
    target(&what, after[1] / after[0], Bound::AtMost(GROWTH));
    Ok(())
}

/// Somebody signed in.
struct Visit {
    server: Server,
    cookie: String,
    turn: usize,
}

impl Visit {
    fn begin(plan: &Plan, copy: &Replica) -> Outcome<Self> {
        let key_file = copy.key_file();
        let key_file = key_file.to_str().ok_or("a path that is no text")?;
        let more = ["--key-file", key_file, "--accept-host"];
        let server = Server::vault(&plan.binary, &copy.data(), &more, None)?;
        let body = format!("key={}", copy.about.admin);
        let answer = exchange(server.address, "POST", "/console/sign-in", "", &body)?;
        let cookie = header(&answer, "set-cookie: ")?;
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok(Self {
            server,
            cookie,
            turn: 0,
        })
    }

    /// A page, which has to be whole and to say what is looked for.
    fn page(&self, place: &str, words: &str) -> Outcome<String> {
        let cookie = format!("cookie: {}\r\n", self.cookie);
        let answer = exchange(self.server.address, "GET", place, &cookie, "")?;
        let good = answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("</html>");
        match good && answer.contains(words) {
            true => Ok(answer),
            false => Err(format!("{place} does not say `{words}`: {answer}").into()),
        }
    }

    /// The place of a page so many pages into the table, or of the last.
    fn deep(&self, pages: usize) -> Outcome<String> {
        let mut place = "/console/tokens".to_owned();
        for _ in 0..pages {
            let page = self.page(&place, "u0")?;
            let Some(end) = find(page.as_bytes(), b"\" rel=\"next\"") else {
                break;
            };
            let from = page[..end].rfind('"').ok_or("a link without a start")? + 1;
            place = page[from..end].replace("&amp;", "&");
        }
        Ok(place)
    }

    /// Processor time of a page of this screen, in microseconds.
    fn cost(&mut self, plan: &Plan, screen: &Screen) -> Outcome<Rounds> {
        let (mut rounds, pages) = (Rounds::default(), plan.choose(5, PAGES));
        for _ in 0..plan.rounds {
            let before = self.server.cpu()?;
            for _ in 0..pages {
                self.page(&(screen.place)(self.turn), screen.words)?;
                self.turn += 1;
            }
            let spent = self.server.cpu()? - before;
            rounds.push(spent.as_secs_f64() * 1e6 / pages as f64);
        }
        Ok(rounds)
    }
}

/// One request on a connection of its own, and the whole answer.
fn exchange(
    address: SocketAddr,
    method: &str,
    place: &str,
    headers: &str,
    form: &str,
) -> Outcome<String> {
    let mut socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let length = form.len();
    let request = format!(
        "{method} {place} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n\r\n{form}"
    );
    socket.write_all(request.as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}

/// What a header of an answer says.
fn header<'a>(answer: &'a str, name: &str) -> Outcome<&'a str> {
    let line = answer
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with(name));
    let line = line.ok_or_else(|| format!("no `{name}` in: {answer}"))?;
    Ok(&line[name.len()..])
}
