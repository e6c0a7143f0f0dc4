//! The numbers in a UniPC step: log signal-to-noise ratios, exponential integrals and a tiny linear system.

use super::MAX_ORDER;

/// `ln(alpha / sigma)` with `alpha = 1 - sigma`; infinite where there is no noise.
pub(super) fn log_snr(sigma: f64) -> f64 {
    (1.0 - sigma).ln() - sigma.ln()
}

/// `z = -h` and what is made of `e^z`. `z` is `-inf` in the step that ends without noise.
pub(super) struct Exponentials {
    z: f64,
    minus_one: f64,
}

impl Exponentials {
    pub(super) fn new(z: f64) -> Self {
        Self { z, minus_one: z.exp_m1() }
    }

    /// `e^z - 1`
    pub(super) fn minus_one(&self) -> f64 {
        self.minus_one
    }

    /// The right-hand sides `b_k = k! phi_(k+1)(z) z / (e^z - 1)`, where `phi_1 = (e^z - 1) / z` and
    /// `phi_(k+1) = (phi_k - 1/k!) / z`. The recursion loses about a digit per order for every factor of ten
    /// that `z` is below 1; at 1000 steps that leaves seven digits of order 3.
    fn right_hand_sides(&self, count: usize) -> [f64; MAX_ORDER] {
        let mut sides = [0.0; MAX_ORDER];
        // z phi_(k+1)
        let mut term = self.minus_one / self.z - 1.0;
        let mut factorial = 1.0;
        for (k, side) in (1..).zip(sides.iter_mut().take(count)) {
            *side = term * factorial / self.minus_one;
            factorial *= f64::from(k + 1);
            term = term / self.z - 1.0 / factorial;
        }
        sides
    }
}

/// Solves `sum_j rho_j nodes_j^(k-1) = b_k` for `k = 1..nodes.len()`, at most [`MAX_ORDER`] equations, by
/// elimination with row exchange. The nodes differ from each other, so there is one solution.
pub(super) fn solve(nodes: &[f64], exponentials: &Exponentials) -> Vec<f64> {
    let n = nodes.len();
    let sides = exponentials.right_hand_sides(n);
    let mut rows: Vec<Vec<f64>> = (0..)
        .zip(sides.iter().take(n))
        .map(|(power, &side)| nodes.iter().map(|node| node.powi(power)).chain([side]).collect())
        .collect();
    for column in 0..n {
        let pivot = (column..n).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()));
        rows.swap(column, pivot.unwrap_or(column));
        let head = rows[column].clone();
        for row in &mut rows[column + 1..] {
            let factor = row[column] / head[column];
            row.iter_mut().zip(&head).for_each(|(x, h)| *x -= factor * h);
        }
    }
    let mut solution = vec![0.0; n];
    for row in (0..n).rev() {
        let known: f64 = (row + 1..n).map(|column| rows[row][column] * solution[column]).sum();
        solution[row] = (rows[row][n] - known) / rows[row][row];
    }
    solution
}

#[cfg(test)]
mod tests {
    use super::{Exponentials, log_snr, solve};

    #[test]
    fn log_snr_is_odd_around_one_half() {
        assert_eq!(log_snr(0.5), 0.0);
        assert!((log_snr(0.25) + log_snr(0.75)).abs() < 1e-15);
        assert_eq!(log_snr(0.0), f64::INFINITY);
    }

    #[test]
    fn right_hand_sides_agree_with_the_series() {
        // phi_(k+1)(z) = sum_n z^n / (n + k + 1)!
        let factorial = |n: i32| (1..=n).map(f64::from).product::<f64>();
        for z in [-0.01_f64, -0.3, -1.0, -3.0] {
            let sides = Exponentials::new(z).right_hand_sides(3);
            for (k, side) in (1..).zip(sides) {
                let phi: f64 = (0..40).map(|n| z.powi(n) / factorial(n + k + 1)).sum();
                let expected = factorial(k) * phi * z / z.exp_m1();
                assert!((side - expected).abs() < 1e-8, "z {z}, k {k}: {side} {expected}");
            }
        }
    }

    #[test]
    fn the_solution_fulfils_every_equation() {
        let nodes = [-2.3, -1.1, 1.0];
        let exponentials = Exponentials::new(-0.7);
        for n in 1..=3 {
            let rhos = solve(&nodes[..n], &exponentials);
            for (power, side) in (0..).zip(exponentials.right_hand_sides(n)).take(n) {
                let sum: f64 = rhos.iter().zip(nodes).map(|(rho, node)| rho * node.powi(power)).sum();
                assert!((sum - side).abs() < 1e-14, "{n} unknowns, power {power}: {sum} {side}");
            }
        }
    }
}
