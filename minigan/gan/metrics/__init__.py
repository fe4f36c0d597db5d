"""How samples are judged: report.py puts it together, distances.py has the formulas, classifier.py and attributes.py
the judges."""

from .report import CONFIDENT, PRESENT, Details, Report, classifier_score, evaluate, examine

__all__ = ["CONFIDENT", "Details", "PRESENT", "Report", "classifier_score", "evaluate", "examine"]
