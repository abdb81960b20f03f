"""Pictures of studies, of solutions, of errors against cost, and of images.

The only user of matplotlib. All drawing goes through figures of their own on the Agg canvas: no
window opens, and the global state of pyplot stays as it is.
"""

from semilinear.plot.images import GAP, image_grid
from semilinear.plot.solutions import solution_plot
from semilinear.plot.studies import error_plot, order_plot, work_precision_plot

__all__ = [
    "GAP",
    "error_plot",
    "image_grid",
    "order_plot",
    "solution_plot",
    "work_precision_plot",
]
