use std::collections::BTreeMap;

use crate::model::{LabelColor, Name};

/// Colors of the services and the width of the name column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServicePalette {
    colors: BTreeMap<Name, LabelColor>,
    width: usize,
}

/// Colors for services without a chosen one. Red is reserved for failures.
const PALETTE: [LabelColor; 10] = [
    LabelColor::Cyan,
    LabelColor::Yellow,
    LabelColor::Green,
    LabelColor::Magenta,
    LabelColor::Blue,
    LabelColor::BrightCyan,
    LabelColor::BrightYellow,
    LabelColor::BrightGreen,
    LabelColor::BrightMagenta,
    LabelColor::BrightBlue,
];

/// Widest name column: one long name must not push all lines to the right.
const MAX_NAME_WIDTH: usize = 20;

impl ServicePalette {
    /// Gives each service the color that the user chose, or a stable one by the hash of its name,
    /// which differs from the neighbor's and repeats only once all are in use.
    pub fn new(services: &[(Name, Option<LabelColor>)]) -> ServicePalette {
        let requests: BTreeMap<&Name, Option<LabelColor>> =
            services.iter().map(|(name, color)| (name, *color)).collect();
        let mut colors: BTreeMap<Name, LabelColor> = BTreeMap::new();
        let mut used: Vec<LabelColor> = requests.values().flatten().copied().collect();
        let mut before = None;
        for (name, request) in requests {
            let color = request.unwrap_or_else(|| pick_color(name, &used, before));
            used.push(color);
            if PALETTE.iter().all(|color| used.contains(color)) {
                used.clear();
            }
            before = Some(color);
            colors.insert(name.clone(), color);
        }
        let width = colors.keys().map(|name| name.as_str().len()).max().unwrap_or(0);
        ServicePalette { colors, width: width.min(MAX_NAME_WIDTH) }
    }

    /// Returns the width of the name column in characters.
    pub fn width(&self) -> usize {
        self.width
    }

    pub fn color(&self, name: &Name) -> LabelColor {
        self.colors.get(name).copied().unwrap_or_else(|| pick_color(name, &[], None))
    }

    /// Returns the escape sequence that starts the color of a service.
    pub(super) fn color_start(&self, name: &Name) -> &'static str {
        sgr(self.color(name))
    }
}

/// Returns the first color from the hash of `name` on that is neither in use nor the neighbor's.
fn pick_color(name: &Name, used: &[LabelColor], before: Option<LabelColor>) -> LabelColor {
    let hash = xxhash_rust::xxh3::xxh3_64(name.as_str().as_bytes());
    let first = (hash % PALETTE.len() as u64) as usize;
    let mut from_there = PALETTE.iter().cycle().skip(first).take(PALETTE.len());
    from_there
        .find(|color| !used.contains(color) && before != Some(**color))
        .or_else(|| PALETTE.iter().find(|color| before != Some(**color)))
        .copied()
        .expect("a palette of ten has a color other than the neighbor's")
}

fn sgr(color: LabelColor) -> &'static str {
    match color {
        LabelColor::Red => "\x1b[31m",
        LabelColor::Green => "\x1b[32m",
        LabelColor::Yellow => "\x1b[33m",
        LabelColor::Blue => "\x1b[34m",
        LabelColor::Magenta => "\x1b[35m",
        LabelColor::Cyan => "\x1b[36m",
        LabelColor::BrightRed => "\x1b[91m",
        LabelColor::BrightGreen => "\x1b[92m",
        LabelColor::BrightYellow => "\x1b[93m",
        LabelColor::BrightBlue => "\x1b[94m",
        LabelColor::BrightMagenta => "\x1b[95m",
        LabelColor::BrightCyan => "\x1b[96m",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<(Name, Option<LabelColor>)> {
        (0..count).map(|i| (Name::new(&format!("s{i:02}")).unwrap(), None)).collect()
    }

    #[test]
    fn colours_are_stable_and_neighbours_differ() {
        let table = ServicePalette::new(&names(40));
        assert_eq!(table, ServicePalette::new(&names(40)));
        let all: Vec<LabelColor> = table.colors.values().copied().collect();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "{all:?}");
        let mut ten: Vec<String> = ServicePalette::new(&names(10))
            .colors
            .values()
            .map(|color| format!("{color:?}"))
            .collect();
        ten.sort();
        ten.dedup();
        assert_eq!(ten.len(), 10);
    }

    #[test]
    fn the_users_colour_counts_and_the_column_has_a_limit() {
        let api = Name::new("api").unwrap();
        let long = Name::new(&"x".repeat(50)).unwrap();
        let table = ServicePalette::new(&[(api.clone(), Some(LabelColor::Red)), (long, None)]);
        assert_eq!(table.color_start(&api), "\x1b[31m");
        assert_eq!(table.width(), MAX_NAME_WIDTH);
    }
}
