//! The cost of watching.

use super::*;

/// Not a test: `cargo test --release -- --ignored measure --nocapture` prints the cost.
#[tokio::test]
#[ignore = "prints measurements"]
async fn measure() {
    let mut scene = WatchFixture::new();
    for folder in 0..2_222 {
        for file in 0..9 {
            scene.old(&format!("a{}/b{folder}/f{file}.py", folder % 50), "print('hello')\n");
        }
    }
    for folder in 0..2_000 {
        for file in 0..10 {
            scene.old(&format!("node_modules/p{folder}/f{file}.js"), "x");
        }
    }
    let begin = Instant::now();
    scene.begin(scene.watch(&[], &[])).await;
    println!("20,000 files in 2,222 folders: first change after {:?}", begin.elapsed());
    let mut times = Vec::new();
    for number in 0..200 {
        let begin = Instant::now();
        scene.write("a1/b1/f1.py", &format!("{number}"));
        scene.file().await;
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    println!(
        "write to change: median {:?}, 95 % {:?}, most {:?}",
        times[100], times[190], times[199]
    );
}
