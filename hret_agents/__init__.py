"""Porting datasets: plan, translate, check, write a module, verify it, publish."""
