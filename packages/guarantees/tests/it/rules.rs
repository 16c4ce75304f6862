//! Rules and routes, before they run: the real promtool and amtool judge them, every alert has its tests and its
//! page, and what rules and dashboards name is what the services export. That they fire is drilled in `drills`.

mod book;
mod cases;
mod circle;
mod exported;
mod judged;
mod pages;
mod query;
