//! Texts that are made to exhaust the stack, the memory or the time.

use std::time::{Duration, Instant};

use super::fixtures::Fixture;

/// Parses and plans on a thread with a small stack; the answer does not matter, that there is one does.
fn survives(name: &str, sql: String) {
    let name = name.to_owned();
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(move || {
        let start = Instant::now();
        let outcome = Fixture::new().plan(&sql);
        let message = outcome.map(|_| "planned".to_owned()).unwrap_or_else(|e| e.to_string());
        assert!(start.elapsed() < Duration::from_secs(8), "{name} took {:?}: {message}", start.elapsed());
    });
    thread.unwrap().join().unwrap();
}

#[test]
fn deep_nesting_neither_overflows_nor_hangs() {
    let deep = |open: &str, middle: &str, close: &str, times: usize| {
        format!("SELECT {}{middle}{}", open.repeat(times), close.repeat(times))
    };
    survives("parentheses", deep("(", "1", ")", 5000));
    survives("unclosed parentheses", format!("SELECT {}", "(".repeat(9990)));
    survives("fifty parentheses", deep("(", "1", ")", 50));
    survives("brackets", deep("array[", "1", "]", 1400));
    survives("calls", deep("lower(", "'a'", ")", 1400));
    survives("casts", deep("cast(", "1", " as bigint)", 90));
    survives("cases", deep("case when true then ", "1", " end", 400));
    survives("minuses", format!("SELECT {}1", "- ".repeat(4900)));
    survives("nots", format!("SELECT {}true", "not ".repeat(2400)));
    survives("lambdas", format!("SELECT transform(array[1], {}1)", "x -> ".repeat(1900)));
    survives("subqueries", format!("{}SELECT 1{}", "SELECT * FROM (".repeat(99), ")".repeat(99)));
    survives("table parentheses", format!("SELECT * FROM {}numbers{}", "(".repeat(60), ")".repeat(60)));
    survives("eight table parentheses", format!("SELECT * FROM {}numbers{}", "(".repeat(8), ")".repeat(8)));
    survives("types", format!("SELECT cast(null as {}bigint{})", "array(".repeat(1000), ")".repeat(1000)));
    survives("betweens", deep("(", "1", " between 1 and 2)", 60));
    survives("largest of largest", deep("max_by(1, ", "1", ")", 60) + " FROM numbers");
    survives("rows in rows", deep("((", "1", ", 1) in ((1, 1), (1, 1)))", 45));
    survives("quantified", deep("(1 > all (select ", "1", "))", 45));
    let unnested = |times: usize| {
        (0..times).fold("SELECT array[n] AS a FROM numbers".to_owned(), |inner, i| {
            format!("SELECT a FROM ({inner}) t{i} WHERE EXISTS (SELECT 1 FROM UNNEST(t{i}.a) AS u(x) WHERE x > 1)")
        })
    };
    survives("arrays of outer rows", unnested(30));
    survives("with in with", format!("{}SELECT 1{}", "with a as (".repeat(99), ") select * from a".repeat(99)));
}

#[test]
fn long_chains_neither_overflow_nor_hang() {
    let chain = |item: &str, times: usize| format!("SELECT {}", [item].repeat(times).join(""));
    survives("sums", chain("1+", 4000) + "1");
    survives("concatenations", chain("'a'||", 1600) + "'a'");
    survives("ors", format!("SELECT 1 FROM numbers WHERE {}", vec!["n=1"; 1600].join(" or ")));
    survives("ands", format!("SELECT 1 FROM numbers WHERE {}", vec!["n>1"; 1300].join(" and ")));
    survives("unions", vec!["select 1"; 700].join(" union "));
    survives("tables", format!("SELECT 1 FROM {}", vec!["numbers"; 1200].join(",")));
    survives("unnests", format!("SELECT 1 FROM {}", vec!["unnest(array[1])"; 1200].join(",")));
    survives("row list", format!("SELECT 1 FROM numbers WHERE (n, k) IN ({})", vec!["(1,'a')"; 4000].join(",")));
    survives("items", format!("SELECT {} FROM numbers", vec!["n"; 4000].join(",")));
    survives("in list", format!("SELECT 1 FROM numbers WHERE n IN ({})", vec!["1"; 4500].join(",")));
    survives("subscripts", format!("SELECT k{} FROM numbers", "[1]".repeat(3000)));
    survives("fields", format!("SELECT k{} FROM numbers", ".a".repeat(4000)));
    survives("commas", format!("SELECT {}", ",".repeat(9000)));
    survives("cube", format!("SELECT 1 FROM numbers GROUP BY CUBE ({})", vec!["n"; 40].join(",")));
    let doubling: Vec<String> = (1..40).map(|i| format!("t{i} as (select * from t{0}, t{0} x)", i - 1)).collect();
    survives("doubling", format!("with t0 as (select 1), {} select * from t39", doubling.join(", ")));
}

#[tokio::test]
async fn functions_do_not_build_endless_values() {
    let fixture = Fixture::new();
    for sql in [
        "SELECT lpad('a', 2000000000, 'x')",
        "SELECT sequence(1, 1000000000)",
        "SELECT repeat('x', 1000000000)",
        "SELECT regexp_like('a', '((((a{1000}){1000}){1000})')",
    ] {
        assert!(fixture.query(sql).await.is_err(), "{sql}");
    }
}
