/// Each trace is a file below `snapshots/`, reviewed as text.
macro_rules! trace {
    ($name:ident, $script:expr) => {
        #[test]
        fn $name() {
            insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
                insta::assert_snapshot!(stringify!($name), $script.trace());
            });
        }
    };
}

mod awaited;
mod debug;
mod lazy;
mod random;
mod saves;
pub(super) mod script;
mod traces;
mod unstoppable;
mod waiting;
mod why;
