"""Networks as sums over their blocks: MathNAS, DNA, exact fronts and programmes."""
