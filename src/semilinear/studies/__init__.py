"""Convergence studies: the order that methods show, and the work that an error takes."""

from semilinear.studies.orders import MethodOrder, OrderStudy, order_study
from semilinear.studies.work import Curve, Point, WorkPrecision
from semilinear.studies.work_runs import work_precision

__all__ = [
    "Curve",
    "MethodOrder",
    "OrderStudy",
    "Point",
    "WorkPrecision",
    "order_study",
    "work_precision",
]
