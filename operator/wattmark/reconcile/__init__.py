"""Look at an object, decide, write its status once, act: a pass for each kind, from the work queue."""

from wattmark.reconcile.reconciler import Reconciler

__all__ = ["Reconciler"]
