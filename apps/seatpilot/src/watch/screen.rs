//! The terminal while the view has it: raw, on its second screen, and given back however it ends.

use std::{
    io::{self, Stdout, Write},
    panic,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor::{Hide, Show},
        event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};
use tokio::sync::mpsc;

/// How long the reader of keys waits before it looks whether anybody listens still.
const LISTENED_EVERY: Duration = Duration::from_millis(100);
/// Keys that wait; further ones are let go.
const KEYS_MAX: usize = 16;

/// What somebody did at the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// q, or Escape.
    Leave,
    /// Ctrl-C.
    Stop,
    /// ?, or h.
    Help,
    /// The terminal has another size.
    Resized,
}

/// The terminal. Dropped, it is as it was before.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    /// Whether the terminal is still ours; a panic takes it away.
    taken: Arc<AtomicBool>,
}

impl Screen {
    /// Takes the terminal, and sees to it that a panic anywhere gives it back before it is printed.
    ///
    /// # Errors
    /// Where standard output is no terminal that can be drawn on.
    pub fn take() -> io::Result<Self> {
        let taken = Arc::new(AtomicBool::new(true));
        let (before, given) = (panic::take_hook(), Arc::clone(&taken));
        panic::set_hook(Box::new(move |info| {
            give_back(&given);
            before(info);
        }));
        enable_raw_mode()?;
        let screen = Self { terminal: Terminal::new(CrosstermBackend::new(io::stdout()))?, taken };
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    /// What is drawn on; none once a panic took it away.
    pub fn terminal(&mut self) -> Option<&mut Terminal<CrosstermBackend<Stdout>>> {
        self.taken.load(Ordering::Relaxed).then_some(&mut self.terminal)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back(&self.taken);
    }
}

/// Once: whoever comes second finds nothing to do.
fn give_back(taken: &AtomicBool) {
    if taken.swap(false, Ordering::Relaxed) {
        // A terminal that is gone cannot be given back.
        let _ = disable_raw_mode();
        let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
        let _ = io::stdout().flush();
    }
}

/// Reads keys, on a thread of its own, for as long as somebody listens.
///
/// # Errors
/// Where the system gives no thread.
pub(super) fn keys() -> io::Result<mpsc::Receiver<Key>> {
    let (tell, keys) = mpsc::channel(KEYS_MAX);
    std::thread::Builder::new().name("keys".to_owned()).spawn(move || {
        while !tell.is_closed() {
            match event::poll(LISTENED_EVERY) {
                Ok(false) => {}
                Ok(true) => {
                    let Ok(event) = event::read() else { return };
                    if let Some(key) = meant(&event) {
                        // Nobody presses keys so fast for a reason.
                        let _ = tell.try_send(key);
                    }
                }
                Err(_) => return,
            }
        }
    })?;
    Ok(keys)
}

/// What an event means to us.
fn meant(event: &Event) -> Option<Key> {
    match event {
        Event::Resize(_, _) => Some(Key::Resized),
        Event::Key(KeyEvent { kind: KeyEventKind::Release, .. }) => None,
        Event::Key(KeyEvent { code: KeyCode::Char('c'), modifiers, .. })
            if modifiers.contains(KeyModifiers::CONTROL) =>
        {
            Some(Key::Stop)
        }
        Event::Key(KeyEvent { code: KeyCode::Char('q' | 'Q') | KeyCode::Esc, .. }) => Some(Key::Leave),
        Event::Key(KeyEvent { code: KeyCode::Char('?' | 'h'), .. }) => Some(Key::Help),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_means_one_thing_and_its_release_nothing() {
        let key = |code, modifiers| Event::Key(KeyEvent::new(code, modifiers));
        assert_eq!(meant(&key(KeyCode::Char('c'), KeyModifiers::CONTROL)), Some(Key::Stop));
        assert_eq!(meant(&key(KeyCode::Char('c'), KeyModifiers::NONE)), None);
        assert_eq!(meant(&key(KeyCode::Char('q'), KeyModifiers::NONE)), Some(Key::Leave));
        assert_eq!(meant(&key(KeyCode::Char('?'), KeyModifiers::SHIFT)), Some(Key::Help));
        assert_eq!(meant(&Event::Resize(80, 24)), Some(Key::Resized));
        let mut released = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
        released.kind = KeyEventKind::Release;
        assert_eq!(meant(&Event::Key(released)), None);
    }
}
