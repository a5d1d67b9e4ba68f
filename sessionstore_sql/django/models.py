"""An empty module: the table is not one of Django's ORM.

Django sends ``post_migrate`` only to applications that have a module of models.
"""
