use unicode_width::UnicodeWidthStr;

use super::view;
use crate::log::LogItem;
use crate::tui::command::{Notice, PageRange, TuiCommand, TuiEnd, TuiEvent};
use crate::tui::fixture::stack;
use crate::tui::shown_lines::search_pattern;
use crate::tui::{KeyPress, LogRow, TuiState, UserInput, update};

fn row(seq: u64, service: &str, text: &str) -> LogRow {
    let item = serde_json::json!({"service": service, "run": 1, "stream": "stdout",
        "at": "2026-11-20T09:00:00.120Z", "seq": seq, "line": text});
    LogRow::of(serde_json::from_value::<LogItem>(item).expect("a log item"), 0)
}

fn rows() -> Vec<LogRow> {
    let services = ["api", "web", "db"];
    let text = |seq: u64| match seq % 4 {
        0 => format!("\x1b[32mINFO\x1b[0m request {seq}"),
        1 => format!("世界 {seq}: 日本語のログ {}", "とても長い".repeat(12)),
        2 => format!("tab\there {seq}"),
        _ => format!("ERROR {seq} \x1b]52;c;eA==\x07timed out"),
    };
    (0..60).map(|seq| row(seq, services[seq as usize % 3], &text(seq))).collect()
}

fn shown(size: (u16, u16), services: usize, color: bool) -> TuiState {
    let state = TuiState::new(size, false, color);
    let (state, _) = update(state, TuiEvent::Stack(Box::new(stack(services)), true));
    let generation = state.log.generation;
    let page = TuiEvent::Page { generation, range: PageRange::Tail, rows: rows(), end: 60 };
    update(state, page).0
}

fn press(state: TuiState, keys: &[KeyPress]) -> (TuiState, Vec<TuiCommand>) {
    keys.iter().fold((state, Vec::new()), |(state, mut all), key| {
        let (state, commands) = update(state, TuiEvent::Input(UserInput::Key(*key)));
        all.extend(commands);
        (state, all)
    })
}

fn typed(state: TuiState, text: &str) -> TuiState {
    press(state, &text.chars().map(KeyPress::Char).collect::<Vec<_>>()).0
}

/// What a terminal shows.
fn screen(state: &TuiState) -> String {
    let (width, height) = state.size;
    let mut text = String::new();
    let (buffer, _) = view(state);
    for y in 0..height {
        let (mut line, mut x) = (String::new(), 0);
        while x < width {
            let symbol = buffer[(x, y)].symbol();
            line += symbol;
            // A wide character covers the next cell.
            x += u16::try_from(symbol.width()).unwrap_or(1).max(1);
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[test]
fn a_usual_terminal() {
    insta::assert_snapshot!(screen(&shown((80, 24), 4, true)));
}

#[test]
fn services_are_beside_the_log_in_a_wide_terminal() {
    insta::assert_snapshot!(screen(&shown((120, 40), 4, true)));
}

#[test]
fn a_huge_terminal_with_many_services() {
    insta::assert_snapshot!(screen(&shown((300, 100), 200, true)));
}

#[test]
fn a_narrow_terminal_leaves_columns_out() {
    insta::assert_snapshot!(screen(&shown((34, 14), 4, true)));
}

#[test]
fn many_services_are_scrolled_to_the_selected_one() {
    let (state, _) = press(shown((80, 24), 200, true), &[KeyPress::Down; 100]);
    insta::assert_snapshot!(screen(&state));
}

#[test]
fn no_size_is_too_small_or_too_odd() {
    for (width, height) in
        [(1, 1), (5, 2), (19, 24), (20, 6), (21, 7), (109, 6), (110, 6), (1000, 3)]
    {
        let state = shown((width, height), 200, true);
        for keys in ["", "?", ":", ":zzz", "/世", "f"] {
            screen(&typed(state.clone(), keys));
        }
    }
}

#[test]
fn without_colors_there_are_none() {
    use ratatui::style::Color;
    let is_colored = |state: &TuiState| {
        let (buffer, _) = view(state);
        buffer.content.iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
    };
    assert!(is_colored(&shown((120, 40), 4, true)));
    let mut plain = shown((120, 40), 4, false);
    plain.log.search = Some(search_pattern("request"));
    assert!(!is_colored(&plain));
}

#[test]
fn the_palette_has_commands_and_actions() {
    let state = typed(shown((80, 24), 4, true), ":api");
    insta::assert_snapshot!(screen(&state));
    let (state, commands) = press(typed(state, " reset"), &[KeyPress::Enter]);
    let [TuiCommand::Ask(request)] = &commands[..] else { panic!("{commands:?}") };
    assert_eq!(format!("{request:?}"), "Run(api, reset, [])");
    // One with arguments asks for them.
    let (state, commands) = press(typed(state, ":do api seed"), &[KeyPress::Enter]);
    assert_eq!(commands, []);
    let (_, commands) = press(typed(state, "50 'a b'"), &[KeyPress::Enter]);
    assert!(format!("{commands:?}").contains(r#"["50", "a b"]"#), "{commands:?}");
}

#[test]
fn arguments_may_be_typed_behind_an_action() {
    let state = typed(shown((80, 24), 4, true), ":do api seed 50 'Many Rows'");
    assert!(screen(&state).contains("Fill the database"), "{}", screen(&state));
    let (_, commands) = press(state.clone(), &[KeyPress::Enter]);
    assert!(format!("{commands:?}").contains(r#"["50", "Many Rows"]"#), "{commands:?}");
    // An open quote can be closed.
    let (state, commands) = press(state, &[KeyPress::Backspace, KeyPress::Enter]);
    assert_eq!(commands, []);
    let shown = screen(&state);
    assert!(shown.contains("api seed COUNT: 50 'Many Rows  a quote is not closed"), "{shown}");
}

#[test]
fn the_help() {
    insta::assert_snapshot!(screen(&typed(shown((80, 24), 4, true), "?")));
}

#[test]
fn a_long_notice_is_shown_as_a_whole() {
    let state = shown((60, 24), 4, true);
    let words: Vec<String> = (0..30).map(|number| format!("word{number}")).collect();
    let notice = Notice::failed(words.join(" "));
    let (state, _) = update(state, TuiEvent::Notice(notice));
    let shown = screen(&state);
    assert!(words.iter().all(|word| shown.contains(word)), "{shown}");
    // The next key takes it away.
    let (state, _) = press(state, &[KeyPress::Esc]);
    assert!(!screen(&state).contains("word1 "), "{}", screen(&state));
    // In any terminal, some of it is.
    for size in [(20, 6), (110, 7)] {
        let text = TuiEvent::Notice(Notice::failed(words.join(" ")));
        let (state, _) = update(self::shown(size, 4, true), text);
        assert!(screen(&state).contains("word1"), "{}", screen(&state));
    }
}

#[test]
fn a_text_does_not_take_keys_from_what_is_typed() {
    let text = || TuiEvent::History("seed of api".to_owned(), "done\n[exit 3]".to_owned());
    for keys in ["/se", ":rest", "f@"] {
        let (state, _) = update(typed(shown((80, 24), 4, true), keys), text());
        let shown = screen(&state);
        assert!(shown.contains(&keys[1..]), "{shown}");
        let (state, commands) = press(typed(state, "sq"), &[KeyPress::Esc]);
        assert_eq!(commands, []);
        assert!(!screen(&state).contains("[exit 3]"), "{}", screen(&state));
    }
    let (state, _) = update(typed(shown((80, 24), 4, true), "/se"), text());
    assert!(screen(&state).contains("seed of api: [exit 3]"), "{}", screen(&state));
}

#[test]
fn a_history_is_shown_from_its_end() {
    let lines: Vec<String> = (0..200).map(|number| format!("change {number}.")).collect();
    let event = TuiEvent::History("changes".to_owned(), lines.join("\n"));
    let (state, _) = update(shown((80, 24), 4, true), event);
    let shown = screen(&state);
    assert!(shown.contains("change 199.") && shown.contains("180 more above"), "{shown}");
    let (state, _) = press(state, &[KeyPress::Home]);
    assert!(screen(&state).contains("change 0."), "{}", screen(&state));
}

#[test]
fn the_hints_and_the_title_say_what_is() {
    let (state, _) = press(shown((120, 24), 4, true), &[KeyPress::Down, KeyPress::Down]);
    let shown = screen(&state);
    // `db` has failed, and so has no process to stop.
    assert!(shown.contains("s start") && !shown.contains("s stop"), "{shown}");
    assert!(shown.contains("1 failed, 1 backoff ──"), "{shown}");
    let (state, _) = press(state, &[KeyPress::Up]);
    assert!(screen(&state).contains("s stop"), "{}", screen(&state));
}

#[test]
fn addresses_are_beside_the_log_where_there_is_room() {
    let mut snapshot = stack(4);
    snapshot.services[1].origin = Some("http://web.shop.localhost:7780".to_owned());
    let of = |size| {
        let state = TuiState::new(size, false, true);
        screen(&update(state, TuiEvent::Stack(Box::new(snapshot.clone()), true)).0)
    };
    assert!(of((160, 40)).contains("web.shop.localhost:7780"), "{}", of((160, 40)));
    assert!(!of((120, 40)).contains("web.shop.localhost:7780 "), "{}", of((120, 40)));
}

#[test]
fn escape_takes_back_one_thing_after_the_other() {
    let state = shown((80, 24), 4, true);
    let (state, _) = press(typed(state, "/request"), &[KeyPress::Enter]);
    let (state, _) = press(typed(state, "finfo"), &[KeyPress::Enter]);
    let (mut state, _) = press(state, &[KeyPress::Tab]);
    for gone in ["log of api", "filter: info", "search: request"] {
        assert!(screen(&state).contains(gone), "{}", screen(&state));
        state = press(state, &[KeyPress::Esc]).0;
        assert!(!screen(&state).contains(gone), "{}", screen(&state));
    }
    assert!(screen(&state).contains("reading …") || screen(&state).contains("following"));
}

#[test]
fn scrolling_back_pauses_and_coming_back_follows() {
    let state = shown((80, 24), 4, true);
    let (state, commands) = press(state, &[KeyPress::PageUp]);
    assert!(commands.contains(&TuiCommand::StopFollowing), "{commands:?}");
    assert!(screen(&state).contains("paused"));
    let (state, _) = press(state, &[KeyPress::Char('g')]);
    assert!(screen(&state).contains("INFO request 0"), "{}", screen(&state));
    // Lines that come meanwhile move nothing.
    let before = screen(&state);
    let generation = state.log.generation;
    let (state, _) = update(state, TuiEvent::Lines(generation, vec![row(60, "api", "new")]));
    assert_eq!(screen(&state), before);
    let (state, commands) = press(state, &[KeyPress::Char('G')]);
    assert!(matches!(&commands[..], [.., TuiCommand::Load(_, _, PageRange::Tail)]), "{commands:?}");
    // What was asked for before is not shown.
    let (state, _) = update(state, TuiEvent::Lines(generation, vec![row(61, "api", "stale")]));
    assert!(!screen(&state).contains("stale"));
}

#[test]
fn the_log_of_a_service_that_is_removed_gives_way_to_that_of_the_selected_one() {
    let (state, _) = press(shown((80, 24), 4, true), &[KeyPress::Down, KeyPress::Down]);
    let (state, _) = press(state, &[KeyPress::Tab]);
    assert!(screen(&state).contains("log of db"), "{}", screen(&state));
    let (state, commands) = update(state, TuiEvent::Stack(Box::new(stack(2)), true));
    assert!(screen(&state).contains("log of web"), "{}", screen(&state));
    assert!(matches!(&commands[..], [.., TuiCommand::Load(_, _, PageRange::Tail)]), "{commands:?}");
    // Nothing is asked for again while it is there.
    let (_, commands) = update(state, TuiEvent::Stack(Box::new(stack(2)), true));
    assert_eq!(commands, []);
}

#[test]
fn keys_of_a_typed_line_do_nothing_else() {
    let state = shown((80, 24), 4, true);
    let (state, commands) = press(typed(state, "/qrs"), &[KeyPress::Esc]);
    assert_eq!(commands, []);
    let (state, commands) = update(state, TuiEvent::Input(UserInput::Paste("qqq".to_owned())));
    assert_eq!(commands, []);
    let (_, commands) = press(state, &[KeyPress::Char('q')]);
    assert_eq!(commands, [TuiCommand::Leave(TuiEnd::Closed)]);
}

/// A state whose log has these rows.
fn with_rows(size: (u16, u16), texts: &[&str]) -> TuiState {
    let rows = texts.iter().zip(0..).map(|(text, seq)| row(seq, "api", text)).collect();
    let state = TuiState::new(size, false, true);
    let (state, _) = update(state, TuiEvent::Stack(Box::new(stack(2)), true));
    let generation = state.log.generation;
    let end = texts.len() as u64;
    update(state, TuiEvent::Page { generation, range: PageRange::Tail, rows, end }).0
}

/// A line that takes more than a screen: `0001`, `0002` and so on, 15 to a line of 81 columns.
fn long_text() -> String {
    (1..=600).map(|number| format!("{number:04} ")).collect()
}

#[test]
fn every_part_of_a_line_that_is_longer_than_the_screen_can_be_reached() {
    let long = long_text();
    let mut state = with_rows((81, 24), &["first", &long, "last"]);
    let mut seen = String::new();
    for _ in 0..10 {
        seen += &screen(&state);
        state = press(state, &[KeyPress::PageUp]).0;
    }
    let missing = (1..=600).map(|number| format!("{number:04}")).find(|word| !seen.contains(word));
    assert_eq!(missing, None);
    assert!(screen(&state).contains("first"), "{}", screen(&state));
    // Line by line it goes back to the end.
    let (mut down, mut steps) = (state.clone(), 0);
    while !screen(&down).contains("last") && steps < 1000 {
        down = press(down, &[KeyPress::Char('J')]).0;
        steps += 1;
    }
    assert!((2..100).contains(&steps), "{steps}");
    // The start is shown from its first word on.
    let (start, _) = press(state, &[KeyPress::Char('g')]);
    assert!(screen(&start).contains("0001 "), "{}", screen(&start));
}

#[test]
fn every_part_of_a_text_that_is_wider_than_its_box_can_be_reached() {
    let state = shown((79, 24), 4, true);
    let text = format!("short\n{}\nlast", long_text());
    let (mut state, _) = update(state, TuiEvent::Text("why api".to_owned(), text));
    let mut seen = String::new();
    for _ in 0..10 {
        seen += &screen(&state);
        state = press(state, &[KeyPress::PageDown]).0;
    }
    let seen: String = seen.replace(['\n', '│', ' '], "");
    let missing = (1..=600).map(|number| format!("{number:04}")).find(|word| !seen.contains(word));
    assert_eq!(missing, None);
    assert!(screen(&state).contains("last"), "{}", screen(&state));
    assert!(screen(&press(state, &[KeyPress::Home]).0).contains("short"));
}

#[test]
fn what_is_found_in_a_long_line_is_shown() {
    let long = long_text();
    let mut texts = vec!["before"; 30];
    texts.extend([long.as_str(), "after"]);
    for word in ["0005", "0300", "0599"] {
        let state = typed(with_rows((81, 24), &texts), &format!("/{word}"));
        let (state, commands) = press(state, &[KeyPress::Enter]);
        let [TuiCommand::Search(generation, _, from)] = &commands[..] else {
            panic!("{commands:?}")
        };
        let (state, _) = update(state, TuiEvent::Found(*generation, *from, Some(30)));
        let shown = screen(&state);
        let is_shown = |line: &&str| line.contains(word) && !line.contains("search");
        assert!(shown.lines().any(|line| is_shown(&line)), "{shown}");
    }
}

#[test]
fn characters_with_what_combines_with_them_take_what_they_take() {
    let cases =
        ["\u{2764}\u{fe0f}", "1\u{fe0f}\u{20e3}", "e\u{301}", "\u{1f468}\u{200d}\u{1f469}", "語"];
    for symbol in cases {
        let state = with_rows((60, 24), &[&symbol.repeat(100)]);
        let shown = screen(&state);
        assert_eq!(shown.matches(symbol).count(), 100, "{symbol}: {shown}");
        // Typed text shows its end.
        let (state, _) = press(typed(state, "/"), &[]);
        let paste = TuiEvent::Input(UserInput::Paste(symbol.repeat(60) + "end"));
        let (state, _) = update(state, paste);
        assert!(screen(&state).contains(&format!("{symbol}end")), "{}", screen(&state));
    }
}

#[test]
fn a_pattern_that_matches_parts_of_characters_marks_nothing() {
    let mut state = with_rows((80, 24), &["日本語 x"]);
    state.log.search = Some(search_pattern(r"(?-u:\xe6|\x97)"));
    assert!(screen(&state).contains("日本語 x"));
}
