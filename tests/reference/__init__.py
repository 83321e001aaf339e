"""The reference of the API, made from docstrings: what is public, what its docstrings must say, and the pages.

`surface` knows what is public, `docstrings` and `crossings` hold it to rules, `settings` and `commandline` describe
what is not Python, `site` writes the pages (`make docs`), `pages` checks their links.

>>> from tests.reference import surface
>>> "aifactory_lab.fleet" in surface.packages()
True
"""
