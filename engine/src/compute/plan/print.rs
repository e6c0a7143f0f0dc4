//! Plans as text.
use super::Plan;
use std::fmt;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = ["op", "output", "MFLOP", "MB moved", "of least", "fused"];
        let [op, output, flops, bytes, ratio, fused] = heads;
        writeln!(f, "{op:<20} {output:<22} {flops:>9} {bytes:>10} {ratio:>8} {fused:>5}  launches")?;
        for op in &self.ops {
            write!(
                f,
                "{:<20} {:<22} {:>9.2} {:>10.3} {:>8.2} {:>5}",
                op.name,
                format!("{:?}", op.shape),
                op.cost.flops as f64 / 1e6,
                op.cost.bytes as f64 / 1e6,
                op.cost.ratio(),
                op.cost.fused,
            )?;
            for launch in &op.launches {
                write!(f, "  {} {:?} [{}]", launch.kernel.name, launch.grid, launch.variant.label())?;
            }
            if let Some(input) = op.aliased {
                write!(f, "  in place of input {input}")?;
            }
            writeln!(f)?;
        }
        let streamed = self.streamed_bytes.each_run;
        if streamed > 0 {
            writeln!(f, "{:.1} MB of weights do not stay: each run brings them", streamed as f64 / 1e6)?;
        }
        writeln!(
            f,
            "{} ops, {} launches ({} unfused), {:.2} GFLOP, {:.1} MB moved; {} slots and states {:.1} MB, weights {:.1} MB, \
             largest binding {:.1} MB",
            self.ops.len(),
            self.launches(),
            self.unfused_launches(),
            self.flops() as f64 / 1e9,
            self.bytes() as f64 / 1e6,
            self.slots.len(),
            self.working_bytes() as f64 / 1e6,
            self.weight_bytes as f64 / 1e6,
            self.largest_binding() as f64 / 1e6
        )
    }
}
