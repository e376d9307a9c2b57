//! `POST /v1/token` for a token that is valid, over HTTP, beside a bare hyper.
//!
//! Measures: the real binary on a data directory, unlocked, every safety switch as it comes
//! (policy, the audit entry written before the answer, sealed records), random users, kept
//! connections; beside it a hyper with the same settings that answers as many bytes of body and
//! does nothing else, and that hyper with the least that any vault does for a fetch, which is the
//! limit. Server and load generator on a core each, then sharing both, then under TLS.
//! The record counts stand side by side, so that what grows with them shows. A server that did not
//! get all of its core was kept from it by others on the machine, or by a client that had nothing
//! to send: then its processor time a request tells more than its rate.
//!
//! Does not measure: connecting and handshakes, refreshes, answers of other lengths, or the disk:
//! entries are synced within 50 ms of an answer, and the pages of the file are in memory.

use std::sync::Arc;

use rustls::ClientConfig;

use crate::answers::{DIGITS, Template};
use crate::dataset::{ACCESS, Replica, Shelf, fetch_body};
use crate::load::{Expect, Load, Users};
use crate::machine::Cores;
use crate::plan::Plan;
use crate::process::Server;
use crate::report::{Bound, table, target};
use crate::rounds::{Rounds, number};
use crate::tls::Identity;
use crate::{Outcome, client, hello, least, machine};

/// A bare hyper that is asked by many and has less of its core, in percent, was kept from it.
const BUSY_BELOW: f64 = 60.0;

/// A server that is asked.
struct Subject {
    name: String,
    server: Server,
    template: Template,
    users: Users,
    expect: Expect,
}

/// The figures of a subject at a number of connections.
#[derive(Default)]
struct Row {
    rate: Rounds,
    p50_us: Rounds,
    p99_us: Rounds,
    cpu_us: Rounds,
    client: Rounds,
    resident_mib: f64,
}

impl Row {
    /// How much of a core the server took, in percent.
    fn share(&self) -> f64 {
        self.rate.median() * self.cpu_us.median() / 1e4
    }
}

/// Runs the section.
pub fn run(plan: &Plan, data: &mut Shelf) -> Outcome<()> {
    let copies = plan
        .records
        .iter()
        .map(|records| data.copy(*records))
        .collect::<Outcome<Vec<_>>>()?;
    let connections: &[usize] = plan.choose(&[1, 8], &[1, 8, 64, 256]);
    let apart = machine::two_cores()?;
    if apart.is_some() {
        println!("server on one core, load generator on another:");
        let copies: Vec<&Replica> = copies.iter().collect();
        let rows = compare(plan, &copies, connections, apart, None)?;
        judge(&rows, connections);
        growth(&rows, plan, connections);
    } else {
        println!("one core: server and load generator share it");
    }
    println!("\nserver and load generator share all cores:");
    let first: Vec<&Replica> = copies.iter().take(1).collect();
    compare(plan, &first, connections, None, None)?;
    println!("\nunder TLS 1.3, server on one core, load generator on another:");
    let identity = Identity::make(data.root())?;
    let connections: &[usize] = plan.choose(&[8], &[8, 64]);
    let rows = compare(plan, &first, connections, apart, Some(&identity))?;
    judge(&rows, connections);
    Ok(())
}

/// How many subjects are no product.
const BESIDE: usize = 2;

/// Measures a bare hyper, the least vault, and the product on each copy, in turns. Their rows come
/// in this order.
fn compare(
    plan: &Plan,
    copies: &[&Replica],
    connections: &[usize],
    apart: Option<Cores>,
    identity: Option<&Identity>,
) -> Outcome<Vec<Vec<Row>>> {
    let core = apart.map(|cores| cores.server);
    let mut subjects = Vec::new();
    for copy in copies {
        subjects.push(vault(plan, copy, core, identity)?);
    }
    let body_bytes = answer_bytes(&subjects[0], identity.map(|identity| &identity.client))?;
    let like = &subjects[0];
    let beside = |name: &str, server| Subject {
        name: name.into(),
        server,
        template: like.template.clone(),
        users: Users::Any(0..copies[0].records),
        expect: Expect::Same,
    };
    let bare = beside("bare hyper", hello(body_bytes, core, identity)?);
    let least = beside("least vault", least(copies[0], body_bytes, core, identity)?);
    subjects.splice(0..0, [bare, least]);
    let mut rows: Vec<Vec<Row>> = Vec::new();
    rows.resize_with(subjects.len(), || {
        connections.iter().map(|_| Row::default()).collect()
    });
    machine::on_core(apart.map(|cores| cores.client), || {
        for _ in 0..plan.rounds {
            for (at, count) in connections.iter().enumerate() {
                for (subject, rows) in subjects.iter_mut().zip(&mut rows) {
                    let tls = identity.map(|identity| &identity.client);
                    measure(subject, *count, tls, plan, &mut rows[at])?;
                }
            }
        }
        Ok(())
    })?;
    show(&subjects, connections, &rows);
    println!("(answers of {body_bytes} bytes; {DIGITS}-digit users at random)");
    subjects
        .into_iter()
        .skip(BESIDE)
        .try_for_each(|subject| subject.server.end())?;
    Ok(rows)
}

fn vault(
    plan: &Plan,
    copy: &Replica,
    core: Option<usize>,
    identity: Option<&Identity>,
) -> Outcome<Subject> {
    let key_file = copy.key_file();
    let mut more = vec!["--key-file".into(), key_file.to_string_lossy().into_owned()];
    if let Some(identity) = identity {
        for (flag, file) in [
            ("--tls-cert", &identity.certificate),
            ("--tls-key", &identity.key),
        ] {
            more.extend([flag.to_owned(), file.to_string_lossy().into_owned()]);
        }
    }
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let server = Server::vault(&plan.binary, &copy.data(), &more, core)?;
    let host = server.address.to_string();
    Ok(Subject {
        name: format!("strongroom, {} records", number(copy.records as f64)),
        template: Template::new(
            "POST",
            "/v1/token",
            &host,
            &copy.about.reader,
            &fetch_body(),
        ),
        server,
        users: Users::Any(0..copy.records),
        expect: Expect::SameWith(ACCESS),
    })
}

fn hello(bytes: usize, core: Option<usize>, identity: Option<&Identity>) -> Outcome<Server> {
    let words = vec![hello::WORD.to_owned(), bytes.to_string()];
    Server::own(&with_tls(words, identity), core)
}

fn least(
    copy: &Replica,
    bytes: usize,
    core: Option<usize>,
    identity: Option<&Identity>,
) -> Outcome<Server> {
    let home = copy.data().with_file_name("");
    let directory = tempfile::tempdir_in(home)?.keep();
    let words = vec![
        least::WORD.to_owned(),
        directory.to_string_lossy().into_owned(),
        copy.records.to_string(),
        bytes.to_string(),
        copy.about.reader.clone(),
    ];
    Server::own(&with_tls(words, identity), core)
}

fn with_tls(mut words: Vec<String>, identity: Option<&Identity>) -> Vec<String> {
    if let Some(identity) = identity {
        words.push(identity.certificate.to_string_lossy().into_owned());
        words.push(identity.key.to_string_lossy().into_owned());
    }
    words
}

/// How long the product's answer is.
fn answer_bytes(subject: &Subject, tls: Option<&Arc<ClientConfig>>) -> Outcome<usize> {
    let mut template = subject.template.clone();
    template.aim(1);
    Ok(client::ask(subject.server.address, tls, &template)?.len())
}

fn measure(
    subject: &mut Subject,
    connections: usize,
    tls: Option<&Arc<ClientConfig>>,
    plan: &Plan,
    row: &mut Row,
) -> Outcome<()> {
    let server = &subject.server;
    let load = Load {
        address: server.address,
        tls,
        connections,
        template: &subject.template,
        users: &mut subject.users,
        expect: subject.expect,
        time: plan.row,
    };
    let measured = load.run(&|| server.cpu())?;
    row.rate.push(measured.rate());
    row.p50_us.push(measured.latency_us(0.5));
    row.p99_us.push(measured.latency_us(0.99));
    row.cpu_us.push(measured.server_us());
    row.client.push(measured.client_share());
    row.resident_mib = server.resident_mib()?;
    Ok(())
}

fn show(subjects: &[Subject], connections: &[usize], rows: &[Vec<Row>]) {
    let mut lines = Vec::new();
    for (at, count) in connections.iter().enumerate() {
        let bare = rows[0][at].rate.median();
        for (subject, rows) in subjects.iter().zip(rows) {
            let row = &rows[at];
            lines.push(vec![
                count.to_string(),
                subject.name.clone(),
                row.rate.to_string(),
                number(row.rate.median() / bare),
                row.p50_us.to_string(),
                row.p99_us.to_string(),
                row.cpu_us.to_string(),
                number(row.resident_mib),
                number(row.share()),
                number(row.client.median()),
            ]);
        }
    }
    let head = [
        "connections",
        "server",
        "requests/s",
        "ratio",
        "p50 us",
        "p99 us",
        "CPU us/request",
        "RSS MiB",
        "server's core %",
        "client's core %",
    ];
    table(&head, &lines);
}

/// Says what the product came to beside the bare hyper, with the targets for 8 to 64 connections.
fn judge(rows: &[Vec<Row>], connections: &[usize]) {
    let [bare, least, product, ..] = rows else {
        return;
    };
    for (at, count) in connections.iter().enumerate() {
        if !(8..=64).contains(count) {
            continue;
        }
        let (bare, least, product) = (&bare[at], &least[at], &product[at]);
        if bare.share() < BUSY_BELOW {
            let share = number(bare.share());
            println!("{count} connections: the bare hyper had {share} % of its core: its");
            println!("  requests/s are no limit on a machine this busy; compare CPU per request");
        }
        let to = |limit, of: fn(&Row) -> &Rounds| of(product).median() / of(limit).median();
        let ratio = |of| to(bare, of);
        let what = |figure| format!("{count} connections, {figure} / bare hyper");
        let (rate, cpu) = (ratio(|row| &row.rate), ratio(|row| &row.cpu_us));
        target(&what("requests/s"), rate, Bound::AtLeast(0.70));
        target(&what("CPU per request"), cpu, Bound::AtMost(1.6));
        let p99 = ratio(|row| &row.p99_us);
        target(&what("p99"), p99, Bound::AtMost(1.5));
        let [rate, cpu, p99] = [
            to(least, |row| &row.rate),
            to(least, |row| &row.cpu_us),
            to(least, |row| &row.p99_us),
        ]
        .map(number);
        println!(
            "{count} connections, of the least vault: requests/s {rate}, CPU per request {cpu}, \
             p99 {p99}"
        );
    }
}

/// Says how the cost of a fetch grows from the least record count to the most.
fn growth(rows: &[Vec<Row>], plan: &Plan, connections: &[usize]) {
    let [_, _, least, .., most] = rows else {
        return;
    };
    let Some(at) = connections.iter().position(|count| *count == 8) else {
        return;
    };
    let ratio = most[at].cpu_us.median() / least[at].cpu_us.median();
    let what = format!("CPU per fetch at 8 connections, records {:?}", plan.records);
    target(&what, ratio, Bound::AtMost(1.3));
}

/// Processor microseconds of a fetch at 8 connections, and the server's memory after them, in MiB.
pub fn cost(plan: &Plan, copy: &Replica) -> Outcome<(f64, f64)> {
    let apart = machine::two_cores()?;
    let mut subject = vault(plan, copy, apart.map(|cores| cores.server), None)?;
    let mut row = Row::default();
    machine::on_core(apart.map(|cores| cores.client), || {
        (0..plan.rounds).try_for_each(|_| measure(&mut subject, 8, None, plan, &mut row))
    })?;
    subject.server.end()?;
    Ok((row.cpu_us.median(), row.resident_mib))
}
