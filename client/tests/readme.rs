//! What the README shows is what is compiled and run.

#[test]
fn the_readme_quotes_the_example() {
    let readme = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"));
    let example = include_str!("../examples/hello.rs");
    let code: String = example.lines().skip_while(|line| line.starts_with("//!") || line.is_empty()).fold(
        String::new(),
        |mut code, line| {
            code.push_str(line);
            code.push('\n');
            code
        },
    );
    assert!(code.contains("#[workflow]"), "the example has a workflow");
    assert!(readme.contains(&format!("```rust\n{code}```\n")), "the README has another example than\n{code}");
}
