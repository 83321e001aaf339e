"""Any process of the plant is killed, stopped or told to end while everything works; the plant keeps its promises.

`make chaos MINUTES=10`. `parts` says what a part of the plant is; `serving`, `watching`, `working` and `boards` are the
parts; `storm` strikes and judges. `watcher` and `line` run in processes of their own.
"""
