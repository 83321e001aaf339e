"""Numbers as people say them: rates, money, seconds.

>>> rate(1234567.0), money(0.0146), money(12.5), seconds(0.012), seconds(95.0)
('1.23 M', '$0.015', '$12.50', '12 ms', '95 s')
"""


def rate(value: float) -> str:
    """Return a number that a person can say.

    Examples
    --------
    >>> rate(0.5), rate(12.3), rate(2.5e9)
    ('0.5', '12.3', '2.5 G')
    """
    for size, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {name}"
    return f"{value:.3g}"


def money(dollars: float) -> str:
    """Return dollars to two digits where they are small, else to the cent.

    Examples
    --------
    >>> money(0.00000071), money(0.0)
    ('$0.00000071', '$0')
    """
    if dollars <= 0:
        return "$0"
    if dollars >= 1:
        return f"${dollars:,.2f}"
    places = next(n for n in range(1, 20) if dollars * 10**n >= 1)
    return f"${dollars:.{places + 1}f}"


def seconds(value: float) -> str:
    """Return a time with the unit that suits it.

    Examples
    --------
    >>> seconds(1.234), seconds(7200.0)
    ('1.2 s', '120 min')
    """
    if value < 0.1:
        return f"{value * 1000:.2g} ms"
    if value < 10:
        return f"{value:.1f} s"
    return f"{value:.0f} s" if value < 600 else f"{value / 60:.0f} min"
