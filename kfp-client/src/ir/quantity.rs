//! Quantities as Kubernetes writes them: `500m`, `2`, `4Gi`.

/// Factors by the letters that stand for them. `K` is no unit of Kubernetes, but one the official compiler takes.
const UNITS: [(&str, f64); 17] = [
    ("", 1.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("K", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
];

fn value(text: &str) -> Option<f64> {
    let end = text
        .find(|letter: char| letter.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    // Rust would read `inf` and `NaN` too, but no letters are left here.
    let number: f64 = number.parse().ok()?;
    let exponent = unit
        .strip_prefix(['e', 'E'])
        .and_then(|exponent| exponent.parse::<i32>().ok());
    let factor = match exponent {
        Some(exponent) => 10_f64.powi(exponent),
        None => UNITS.iter().find(|(name, _)| *name == unit)?.1,
    };
    Some(number * factor)
}

/// Whether it is a quantity, or has a placeholder in it and may become one.
pub(crate) fn is_quantity(text: &str) -> bool {
    text.contains("{{") || value(text).is_some_and(|value| value >= 0.0)
}

/// CPU in cores; nothing if it is not known yet.
pub(crate) fn cores(text: &str) -> Option<f64> {
    value(text)
}

/// Memory in units of 10^9 bytes; nothing if it is not known yet.
pub(crate) fn gigabytes(text: &str) -> Option<f64> {
    value(text).map(|bytes| bytes / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_the_official_compiler_reads_them() {
        assert_eq!(cores("500m"), Some(0.5));
        assert_eq!(cores("2"), Some(2.0));
        assert_eq!(gigabytes("1Gi"), Some(1.073_741_824));
        assert_eq!(gigabytes("4G"), Some(4.0));
        assert_eq!(gigabytes("64000000000"), Some(64.0));
        assert_eq!(gigabytes("1e9"), Some(1.0));
        assert_eq!(cores("{{$.inputs.parameters['cpu']}}"), None);
    }

    #[test]
    fn what_is_no_quantity_is_told() {
        for text in [
            "0",
            "1.5",
            "100m",
            "12e6",
            "1E3",
            "5Ei",
            "64K",
            "{{$.inputs.parameters['memory']}}",
        ] {
            assert!(is_quantity(text), "{text}");
        }
        for text in ["", "a", "1 Gi", "1gb", "-1", "Gi", "inf", "NaN", "1Gib", "é"] {
            assert!(!is_quantity(text), "{text}");
        }
    }
}
