//! tmp
use toft_appfile::*;
#[test]
fn x() {
    for f in ["whole", "guestbook", "small"] {
        let text = std::fs::read_to_string(format!("examples-text/{f}.toml")).unwrap();
        for caps in [Capabilities::whole(), Capabilities::now()] {
            match decode_with(
                Source {
                    path: "toft.toml",
                    text: &text,
                },
                &Overrides::default(),
                &AnyFolder,
                caps,
            ) {
                Ok(d) => {
                    println!("{}\n{}", d.explained, d.warnings);
                    let again = d.explained.to_toml();
                    let d2 = decode_with(
                        Source {
                            path: "again.toml",
                            text: &again,
                        },
                        &Overrides::default(),
                        &AnyFolder,
                        caps,
                    );
                    match d2 {
                        Ok(d2) => {
                            assert_eq!(d2.spec, d.spec);
                            println!("ROUND OK")
                        }
                        Err(e) => println!("{again}\n{e}"),
                    }
                }
                Err(e) => println!("{e}"),
            }
        }
    }
}
