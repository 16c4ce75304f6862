//! The night on one screen. It draws what [`Night`] says and knows nothing else; every mark is a sign as well as a
//! colour.

use jiff::Zoned;
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Clear, Paragraph, Sparkline, Wrap},
};

use super::{
    alerts::Alerts,
    night::{
        CHECKIN_P95_S, ERROR_SHARE, LAG_S, Mark, Night, QUEUE_SHARE, REJECT_SHARE, WALK_P50_S, WALK_P95_S,
    },
    sample::Counts,
    scrape::ServiceState,
    words::{figure, lasting, percent, short, thousands},
};

/// Below this the view is a few lines of text.
const WIDTH_MIN: u16 = 80;
/// See [`WIDTH_MIN`].
const HEIGHT_MIN: u16 = 22;

/// What stands around the numbers.
#[derive(Debug, Clone)]
pub struct Around {
    /// Whose night it is: `venue demo, tenant demo`.
    pub title: String,
    /// Prometheus' base URL.
    pub prometheus: String,
    /// What q does and what Ctrl-C does.
    pub keys: &'static str,
}

/// Draws it.
pub fn draw(frame: &mut Frame<'_>, night: &Night, around: &Around, now: &Zoned, help: Help) {
    let area = frame.area();
    if area.width < WIDTH_MIN || area.height < HEIGHT_MIN {
        let mut text = vec![Line::from(format!("{} (80x24 shows all)", around.title))];
        text.push(Line::from(super::plain::line(night, now)));
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
        return;
    }
    let [head, doors, middle, below, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Fill(3),
        Constraint::Length(6),
        Constraint::Length(9),
        Constraint::Length(1),
    ])
    .areas(area);
    let halves = |area| Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas::<2>(area);
    let ([left, right], [telemetry, behind], [services, alerts]) =
        (halves(doors), halves(middle), halves(below));
    frame.render_widget(header(around, now, area.width), head);
    checkins(frame, left, night);
    walks(frame, right, night);
    frame.render_widget(Paragraph::new(ingest(night)).block(framed("Telemetry")), telemetry);
    frame.render_widget(Paragraph::new(inside(night)).block(framed("Behind the doors")), behind);
    houses(frame, services, night, now);
    let room = usize::from(alerts.height.saturating_sub(2));
    frame
        .render_widget(Paragraph::new(firing(night, around, room)).block(framed("Alerts that fire")), alerts);
    frame.render_widget(Paragraph::new(around.keys).style(dim()), foot);
    match help {
        Help::Hidden => {}
        Help::Shown => explain(frame, area),
    }
}

/// Whether the page that explains the numbers lies over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Help {
    /// It does not.
    Hidden,
    /// It does.
    Shown,
}

fn framed(title: &str) -> Block<'_> {
    Block::bordered().border_style(dim()).title(Span::styled(format!(" {title} "), bold()))
}

fn dim() -> Style {
    Style::new().fg(Color::DarkGray)
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn style_of(mark: Mark) -> Style {
    match mark {
        Mark::Kept => Style::new().fg(Color::Green),
        Mark::Missed => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        Mark::Unknown => dim(),
    }
}

/// `ok p95 12 ms of 300 ms`: sign, what, and the objective.
fn held(mark: Mark, text: String, objective: &str) -> Line<'static> {
    Line::from(vec![
        Span::styled(format!(" {} ", mark.sign()), style_of(mark)),
        Span::raw(text),
        Span::styled(format!("  {objective}"), dim()),
    ])
}

fn header(around: &Around, now: &Zoned, width: u16) -> Line<'static> {
    let (name, time) = (format!(" SeatPilot, {}", around.title), now.strftime("%H:%M:%S ").to_string());
    let gap = usize::from(width).saturating_sub(name.chars().count() + time.len());
    Line::from(vec![Span::styled(name, bold()), Span::raw(" ".repeat(gap)), Span::styled(time, bold())])
}

fn checkins(frame: &mut Frame<'_>, area: Rect, night: &Night) {
    let ms = |quantile| night.checkin_s(quantile).map(|seconds| seconds * 1000.0);
    let now = night.rate(Counts::admitted);
    let text = vec![
        Line::from(vec![
            Span::styled(format!(" {}", figure(now, "/s")), bold()),
            Span::raw(format!(", {} let in", thousands(night.total().admitted()))),
        ]),
        Line::from(format!(" p50 {}   p99 {}", figure(ms(0.5), " ms"), figure(ms(0.99), " ms"))),
        held(
            Mark::of(night.checkin_s(0.95), CHECKIN_P95_S),
            format!("p95 {}", figure(ms(0.95), " ms")),
            "at most 300 ms",
        ),
    ];
    panel(frame, area, "Check-ins", text, night, Counts::admitted);
}

fn walks(frame: &mut Frame<'_>, area: Rect, night: &Night) {
    let total = night.total();
    let text = vec![
        Line::from(vec![
            Span::styled(format!(" {}", figure(night.rate(Counts::seated), "/s")), bold()),
            Span::raw(format!(
                ", {} seated, {} over 15 min",
                thousands(total.seated()),
                thousands(total.outliers)
            )),
        ]),
        held(
            Mark::of(night.walk_s(0.5), WALK_P50_S),
            format!("p50 {}", figure(night.walk_s(0.5), " s")),
            "at most 30 s",
        ),
        held(
            Mark::of(night.walk_s(0.95), WALK_P95_S),
            format!("p95 {}", figure(night.walk_s(0.95), " s")),
            "at most 60 s",
        ),
    ];
    panel(frame, area, "Door to seat", text, night, Counts::seated);
}

/// Numbers above, the last minutes below.
fn panel(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &str,
    text: Vec<Line<'_>>,
    night: &Night,
    of: fn(&Counts) -> f64,
) {
    let block = framed(title);
    let inner = block.inner(area);
    let rates = night.rates(usize::from(inner.width.saturating_sub(2)), of);
    let peak = rates.iter().copied().reduce(f64::max);
    let block = match peak {
        Some(peak) => block.title(Line::styled(format!(" peak {}/s ", short(peak)), dim()).right_aligned()),
        None => block,
    };
    frame.render_widget(block, area);
    let rows = u16::try_from(text.len()).unwrap_or(u16::MAX);
    let [numbers, history] = Layout::vertical([Constraint::Length(rows), Constraint::Fill(1)]).areas(inner);
    frame.render_widget(Paragraph::new(text), numbers);
    let [_, history, _] =
        Layout::horizontal([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1)])
            .areas(history);
    // In hundredths, for a spark is a whole number; from the right, where now is.
    let bars: Vec<u64> = std::iter::repeat_n(0, usize::from(history.width).saturating_sub(rates.len()))
        .chain(rates.iter().map(|rate| (rate * 100.0) as u64))
        .collect();
    let most = bars.iter().copied().max().unwrap_or_default().max(100);
    frame.render_widget(
        Sparkline::default().data(bars).max(most).style(Style::new().fg(Color::Cyan)),
        history,
    );
}

fn ingest(night: &Night) -> Vec<Line<'static>> {
    let rate = |of: fn(&Counts) -> f64| figure(night.rate(of), "");
    let total = night.total();
    let row = |name: &str, [accepted, known, refused]: [String; 3]| {
        format!(" {name:<10}{accepted:>9}{known:>8}{refused:>9}")
    };
    let per_second =
        [rate(|counts| counts.accepted), rate(|counts| counts.duplicate), rate(|counts| counts.rejected)];
    vec![
        Line::styled(row("", ["accepted", "known", "refused"].map(str::to_owned)), dim()),
        Line::from(row("a second", per_second)),
        Line::from(row("in all", [total.accepted, total.duplicate, total.rejected].map(thousands))),
        held(
            Mark::of(night.reject_share(), REJECT_SHARE),
            format!("refused {}", percent(night.reject_share())),
            "under 1 % in 5 min",
        ),
    ]
}

fn inside(night: &Night) -> Vec<Line<'static>> {
    let gauges = night.gauges();
    let waiting = Mark::of((gauges.queue_capacity > 0.0).then_some(gauges.waiting), 0.0);
    vec![
        held(
            Mark::of(night.lag_s(), LAG_S),
            format!("KPIs {} behind", figure(night.lag_s(), " s")),
            "at most 180 s",
        ),
        held(
            Mark::of(night.queue_share(), QUEUE_SHARE),
            format!("writers' queue {} of {}", thousands(gauges.queue), thousands(gauges.queue_capacity)),
            "",
        ),
        held(waiting, format!("{} wait for a connection", thousands(gauges.waiting)), ""),
        held(
            Mark::of(night.error_share(), ERROR_SHARE),
            format!(
                "{} 5xx of {} requests/s",
                percent(night.error_share()),
                figure(night.rate(|counts| counts.requests), "")
            ),
            "",
        ),
    ]
}

fn houses(frame: &mut Frame<'_>, area: Rect, night: &Night, now: &Zoned) {
    let lines: Vec<Line<'static>> = night
        .services
        .iter()
        .map(|seen| {
            let mark = match seen.state {
                ServiceState::Ready => Mark::Kept,
                ServiceState::Unasked => Mark::Unknown,
                ServiceState::Degraded
                | ServiceState::Starting
                | ServiceState::Draining
                | ServiceState::Gone
                | ServiceState::Strange => Mark::Missed,
            };
            let up = seen.begun_s.map(|begun| lasting(now.timestamp().as_second() as f64 - begun));
            let again = match seen.restarts {
                0 => String::new(),
                1 => "  began anew once".to_owned(),
                more => format!("  began anew {more} times"),
            };
            Line::from(vec![
                Span::styled(format!(" {} ", mark.sign()), style_of(mark)),
                Span::raw(format!("{:<17}{:<9}", seen.name, seen.state.word())),
                Span::styled(format!("{}{again}", up.unwrap_or_default()), dim()),
            ])
        })
        .collect();
    let block = framed("Services");
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let [states, said] = Layout::vertical([Constraint::Length(rows), Constraint::Fill(1)]).areas(inner);
    frame.render_widget(Paragraph::new(lines), states);
    // Each may need two lines.
    let newest = night.notices.len().saturating_sub(usize::from(said.height / 2).max(1));
    let notices: Vec<Line<'_>> =
        night.notices.iter().skip(newest).map(|line| Line::styled(format!(" {line}"), dim())).collect();
    frame.render_widget(Paragraph::new(notices).wrap(Wrap { trim: false }), said);
}

fn firing(night: &Night, around: &Around, room: usize) -> Vec<Line<'static>> {
    match &night.alerts {
        Alerts::Unasked => vec![Line::styled(" -- asked", dim())],
        Alerts::NoPrometheus => vec![
            Line::styled(" -- not known: no Prometheus at", dim()),
            Line::styled(format!("    {}", around.prometheus), dim()),
            Line::styled("    --prometheus URL names another", dim()),
        ],
        Alerts::Known { firing, pending } => {
            let mut lines = Vec::new();
            if firing.is_empty() {
                lines.push(Line::from(vec![
                    Span::styled(" ok ", style_of(Mark::Kept)),
                    Span::raw(format!("none; {pending} pending")),
                ]));
            }
            let shown = if firing.len() > room { room.saturating_sub(1) } else { room };
            for alert in firing.iter().take(shown) {
                lines.push(Line::from(vec![
                    Span::styled(" !! ", style_of(Mark::Missed)),
                    Span::raw(format!("{} ", alert.name)),
                    Span::styled(alert.severity.clone(), dim()),
                ]));
            }
            if firing.len() > shown {
                lines.push(Line::from(format!(" and {} more", short((firing.len() - shown) as f64))));
            }
            lines
        }
    }
}

/// What the numbers mean.
const EXPLAINED: &str = "\
Rates are over the last 5 seconds, quantiles over the last minute,
shares over the last 5 minutes; bars are one second each.

Check-ins     from request to answer, first admissions only;
              quantiles are estimated inside a histogram's buckets
Door to seat  from check-in to arrival; over 15 min it is counted
              apart and is in no quantile
Telemetry     of signed senders: accepted, known already, refused
KPIs behind   how old what the KPI views show is
Services      /ready of each; gone: it does not answer
Alerts        as Prometheus judges them; nothing is judged here

ok within the objective, !! outside, -- no number

? closes this";

fn explain(frame: &mut Frame<'_>, area: Rect) {
    let (width, height) = (70.min(area.width), 20.min(area.height));
    let over =
        Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    frame.render_widget(Clear, over);
    let block = Block::bordered().title(Span::styled(" What is shown ", bold()));
    frame.render_widget(
        Paragraph::new(EXPLAINED).block(block.padding(ratatui::widgets::Padding::horizontal(1))),
        over,
    );
}
