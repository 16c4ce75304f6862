//! Names that attack whoever reads a bill: spreadsheets that run cells, browsers that run what they are shown.

use std::{collections::HashMap, process::Stdio};

use futures_util::{StreamExt as _, stream};
use seatpilot_runtime::Clock;
use seatpilot_testkit::Effort;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::{access::JWT_SECRET, billing::PAST, service::Service};

/// As many as the guarantee speaks of.
const CELLS: usize = 500;

/// What a cell begins with, and what follows.
const HEADS: [&str; 25] = [
    "=",
    "+",
    "-",
    "@",
    "\t=",
    "\r=",
    "\n=",
    " =",
    "\u{a0}=",
    "\u{3000}=",
    "\u{200b}=",
    "\u{feff}=",
    "\u{2060}-",
    "＝",
    "＋",
    "－",
    "＠",
    "'=",
    "\"=",
    "\";=",
    ",=",
    "\u{1}=",
    "\u{85}+",
    "\u{2028}@",
    "a=",
];
const BODIES: [&str; 20] = [
    "1+1",
    "cmd|' /C calc'!A0",
    "HYPERLINK(\"http://evil.example\",\"click\")",
    "SUM(A1:A9)",
    "\"",
    "\"\"",
    "\"\r\n=1+1",
    "a,b,c",
    "a\nb",
    "a\rb",
    "a\r\nb,=2+2",
    "a;b\tc",
    "MÉXICO «ñ» 日本",
    "\u{202e}txt.exe",
    "🎪 O'Brien & Sons",
    "<b>x</b>",
    "DDE(\"cmd\",\"/C calc\",\"x\")",
    "0x1F",
    "\\\"=1",
    "",
];

/// `tenant_name`, `plan_name` and the credit's reason of tenant `x-NNN`.
fn hostile_cells() -> Vec<String> {
    let all: Vec<String> =
        HEADS.iter().flat_map(|head| BODIES.iter().map(move |body| format!("{head}{body}"))).collect();
    assert_eq!(all.len(), CELLS);
    all
}

fn tenant(number: usize) -> String {
    format!("x-{number:03}")
}

/// A tenant for each name, which is its own, its plan's and its credit's; something to bill in [`PAST`].
pub(crate) async fn named(names: &[String]) -> Service {
    let service = Service::start_with(Clock::system(), &[("SUPABASE_JWT_SECRET", JWT_SECRET)]).await;
    let ids: Vec<String> = (0..names.len()).map(tenant).collect();
    let owner = service.db.owner().await;
    owner.batch_execute("select app.metering_roll()").await.unwrap();
    let given = "from unnest($1::text[], $2::text[]) n (id, name)";
    for sql in [
        format!("insert into ops.tenants (tenant_id, name) select id, name {given}"),
        format!(
            "insert into app.plans (plan_id, name, currency, base_price_minor) select id, name, 'EUR', 100 {given}"
        ),
        format!("insert into app.tenant_plans select id, '{PAST}', id {given} where name is not null"),
        format!(
            "insert into app.billing_credits (tenant_id, period, for_period, amount_minor, reason, made_by)
            select id, '{PAST}', '{PAST}', -1, name, 'test' {given}"
        ),
    ] {
        owner.execute(&sql, &[&ids, &names]).await.unwrap();
    }
    service
}

/// As the page about bills says it: control characters are spaces, and what a spreadsheet would run has an apostrophe.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || "\u{2028}\u{2029}".contains(c) { ' ' } else { c }).collect()
}

fn guarded(text: &str) -> String {
    let blank = |c: char| c.is_whitespace() || "\u{200b}\u{2060}\u{feff}".contains(c);
    match text.trim_start_matches(blank).chars().next() {
        Some('=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠') => format!("'{text}"),
        _ => text.to_owned(),
    }
}

/// The lines of every tenant's bill, after one header.
async fn whole_csv(service: &Service, tenants: impl Iterator<Item = usize>) -> String {
    let bills: Vec<String> = stream::iter(tenants)
        .map(|number| async move {
            let path = format!("/admin/billing/csv?period={PAST}");
            let answer = service.see_as(&path, &tenant(number), "owner").await;
            assert_eq!(answer.status, 200, "{answer:?}");
            answer.text.split_once("\r\n").unwrap().1.to_owned()
        })
        .buffered(2)
        .collect()
        .await;
    bills.concat()
}

/// Python, as the tests' tools have it or the machine does; none is said.
fn python() -> Option<String> {
    let own = seatpilot_testkit::tools_folder().join("plots/bin/python");
    let found = [own.display().to_string(), "python3".to_owned()];
    let runs = |python: &&String| {
        let run =
            std::process::Command::new(python).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
        run.is_ok_and(|status| status.success())
    };
    let python = found.iter().find(runs).cloned();
    if python.is_none() {
        println!("SKIPPED: no Python on this machine: its csv module does not judge");
    }
    python
}

/// Runs a program on something; its standard output.
pub(crate) async fn run(mut command: Command, input: &[u8]) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    tokio::spawn(async move { stdin.write_all(&input).await });
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The cells as Python's csv module reads them, strictly.
async fn read_by_python(python: &str, csv: &str) -> Vec<Vec<String>> {
    const SCRIPT: &str = "import csv, io, json, sys
text = io.TextIOWrapper(sys.stdin.buffer, encoding='utf-8', newline='')
json.dump(list(csv.reader(text, strict=True)), sys.stdout)";
    let mut command = Command::new(python);
    command.args(["-I", "-c", SCRIPT]);
    serde_json::from_str(&run(command, csv.as_bytes()).await).unwrap()
}

/// Formula cells that LibreOffice makes of a CSV, when it is told to run what it finds; none where it is missing, which
/// is said.
async fn formulas_in_libreoffice(python: &str, csv: &str) -> Option<usize> {
    if let Err(error) = std::process::Command::new("soffice").arg("--version").stdout(Stdio::null()).status()
    {
        println!("SKIPPED: no LibreOffice on this machine ({error}): it does not judge the CSV");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(at("bill.csv"), csv).unwrap();
    let mut command = Command::new("soffice");
    // Comma, double quote, UTF-8, from line 1; special numbers detected; the last token: formulas are evaluated.
    command
        .arg(format!("-env:UserInstallation=file://{}", at("profile")))
        .args([
            "--headless",
            "--infilter=Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,0,true",
        ])
        .args(["--convert-to", "xlsx", "--outdir", &at("out"), &at("bill.csv")]);
    run(command, b"").await;
    const SCRIPT: &str = "import re, sys, zipfile
sheet = zipfile.ZipFile(sys.argv[1]).read('xl/worksheets/sheet1.xml').decode()
print(sheet.count('<row '), len(re.findall(r'<f[ >/]', sheet)))";
    let mut command = Command::new(python);
    command.args(["-I", "-c", SCRIPT, &at("out/bill.xlsx")]);
    let counted = run(command, b"").await;
    let (rows, formulas) = counted.trim().split_once(' ').unwrap();
    assert!(rows.parse::<usize>().unwrap() >= csv.lines().count(), "{rows} rows were read");
    Some(formulas.parse().unwrap())
}

#[tokio::test]
async fn no_cell_of_five_hundred_hostile_names_runs_and_each_is_read_back() {
    let names = hostile_cells();
    let service = named(&names).await;
    // Half of them while the month is open, half of them closed.
    let open = whole_csv(&service, (0..CELLS).step_by(2)).await;
    service.close(CELLS as i64).await;
    let csv = open + &whole_csv(&service, (1..CELLS).step_by(2)).await;

    let sql = "select tenant_id, line, tenant_name, description, plan_name from app.v_tenant_billing_report where period = $1";
    let mut report = HashMap::new();
    for row in service.db.owner().await.query(sql, &[&PAST]).await.unwrap() {
        let (tenant, line): (String, i32) = (row.get(0), row.get(1));
        report.insert((tenant, line.to_string()), [2, 3, 4].map(|column| row.get::<_, String>(column)));
    }
    let mut readers = vec![("ours", crate::billing::parsed(&csv))];
    let python = python();
    if let Some(python) = &python {
        readers.push(("Python's", read_by_python(python, &csv).await));
    }
    for (reader, rows) in &readers {
        assert_eq!(rows.len(), report.len(), "{reader}");
        for row in rows {
            let name = one_line(&names[row[0][2..].parse::<usize>().unwrap()]);
            let [tenant_name, description, plan_name] = &report[&(row[0].clone(), row[4].clone())];
            assert_eq!((tenant_name, plan_name), (&name, &name), "{reader}: what the report says");
            assert!(
                !row[5].starts_with("credit") || *description == format!("Credit: {name}"),
                "{description}"
            );
            for (cell, value) in [(&row[1], tenant_name), (&row[8], description), (&row[17], plan_name)] {
                assert_eq!(*cell, guarded(value), "{reader}: {row:?}");
            }
            for text in [0, 1, 2, 3, 5, 6, 7, 8, 15, 16, 17, 18].map(|column| &row[column]) {
                assert_eq!(*text, guarded(text), "{reader}: {text:?} would run");
                assert!(!text.chars().any(char::is_control), "{reader}: {text:?}");
            }
            for number in [4, 9, 11, 12, 13, 14].map(|column| &row[column]) {
                assert!(number.parse::<i64>().is_ok(), "{reader}: {number:?} is no number");
            }
        }
    }
    if let Some(python) = &python
        && let Some(formulas) = formulas_in_libreoffice(python, &csv).await
    {
        assert_eq!(formulas, 0, "LibreOffice would run them");
        // The control: it does run what is not defused.
        let undone = formulas_in_libreoffice(python, &csv.replace("\"'=1+1\"", "\"=1+1\"")).await;
        assert!(undone.unwrap() >= 2, "the judge sees no formula at all");
    }
}

/// What a page could be made to run, each in every place that it could break out of.
const SCRIPTS: [&str; 20] = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg/onload=alert`1`>",
    "<body onload=alert(1)>",
    "<iframe src=\"javascript:alert(1)\"></iframe>",
    "<a href=\"javascript:alert(1)\">x</a>",
    "<details open ontoggle=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<object data=\"data:text/html,<script>alert(1)</script>\">",
    "<style>@import 'http://evil.example/x.css';</style>",
    "<link rel=stylesheet href=http://evil.example/x.css>",
    "<meta http-equiv=refresh content=\"0;url=javascript:alert(1)\">",
    "<base href=http://evil.example/>",
    "<form action=http://evil.example/><button autofocus>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)",
    "{{constructor.constructor('alert(1)')()}}",
];
const BREAKS: [&str; 10] = [
    "",
    "\">",
    "'>",
    "</td></tr></table>",
    "</title>",
    "</style>",
    "--><!--",
    "\" onmouseover=alert(1) autofocus x=\"",
    "]]>",
    "\u{202e}\\x3c",
];

#[tokio::test]
async fn no_name_out_of_two_hundred_runs_in_a_browser_and_axe_finds_nothing() {
    let Some(visit) = crate::browser::visit() else { return };
    let names: Vec<String> = BREAKS
        .iter()
        .flat_map(|way_out| SCRIPTS.iter().map(move |script| format!("{way_out}{script}")))
        .collect();
    assert_eq!(names.len(), 200);
    let service = named(&names).await;
    // One house has all of them at once: a venue and a credit each.
    let owner = service.db.owner().await;
    let ids: Vec<String> = (0..names.len()).map(|number| format!("v-{number:03}")).collect();
    let venues = "insert into ops.venues (tenant_id, venue_id, name, time_zone)
        select 'acme', id, name, 'UTC' from unnest($1::text[], $2::text[]) n (id, name)";
    owner.execute(venues, &[&ids, &names]).await.unwrap();
    let venue =
        "insert into ops.venues (tenant_id, venue_id, name, time_zone) values ('x-000', 'v', $1, 'UTC')";
    owner.execute(venue, &[&names[0]]).await.unwrap();
    let credits =
        "insert into app.billing_credits (tenant_id, period, for_period, amount_minor, reason, made_by)
        select 'acme', $2::text, $2::text, -1, name, 'test' from unnest($1::text[]) name";
    owner.execute(credits, &[&names, &PAST]).await.unwrap();
    let shown: Vec<String> = names.iter().map(|name| one_line(name)).collect();
    let page = |path: &str, tenant: &str, texts: &[String], axe: bool| {
        json!({ "url": format!("{}{path}", service.url), "token": crate::access::token(tenant, "owner"),
            "texts": texts, "axe": axe })
    };
    let bill = format!("/admin/billing?period={PAST}");
    let mut pages = vec![
        page("/admin", "acme", &shown, false),
        page(&bill, "acme", &shown, false),
        page("/admin", "x-000", &shown[..1], true),
        page(&bill, "x-000", &shown[..1], true),
        page("/admin/login", "nobody", &["Log in".to_owned()], true),
    ];
    // Each of them is in the lists above; as the tenant's and the plan's own name in full, else every fourth.
    let every = if Effort::of_run() == Effort::Full { 1 } else { 4 };
    for (number, text) in shown.iter().enumerate().step_by(every) {
        pages.push(page(&bill, &tenant(number), std::slice::from_ref(text), false));
    }
    let seen: Value = serde_json::from_str(&visit(&json!(pages)).await).unwrap();
    assert_eq!(seen["visited"], pages.len(), "{seen:#}");
    for trouble in ["dialogs", "violations", "errors", "strangers", "unseen", "axe"] {
        assert_eq!(seen[trouble], json!([]), "{seen:#}");
    }
}
