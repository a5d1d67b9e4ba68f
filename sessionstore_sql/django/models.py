"""No models, as the table is not the ORM's.

Only an application that has this module hears of the end of ``manage.py migrate``.
"""
