"""The slide says: for t = 0, ..., n_critic. The computation says: that is n_critic + 1 steps.

    n_critic = 5 steps are t = 0, ..., n_critic - 1 or t = 1, ..., n_critic

Run it:  python -m minigan.examples.35_slide_loop_count
"""

import click
import numpy as np

from minigan.examples._figure import panels, save


@click.command()
@click.option("--out", default="slide_loop_count.png", show_default=True)
def main(out: str) -> None:
    """Claim, computation, verdict."""
    n_critic = 5
    literal, meant = list(range(0, n_critic + 1)), list(range(n_critic))
    print(
        f"claim: {n_critic} critic steps a generator step; read literally t runs over {literal}: {len(literal)} steps"
    )
    share = np.array([len(literal), len(meant)]) / (np.array([len(literal), len(meant)]) + 1)
    print(f"share of critic updates: {share[0]:.3f} instead of {share[1]:.3f}")
    print("verdict: an off-by-one in the pseudocode; the paper's experiments take n_critic steps")
    figure, (axis,) = panels(1, 5)
    axis.barh(["as written", "as meant"], [len(literal), len(meant)])
    axis.set_xlabel("critic steps per generator step")
    axis.set_ylabel("the loop")
    save(figure, out)


if __name__ == "__main__":
    main()
