#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Draws docs/speed.svg and writes the tables of docs/speed.md, from docs/speed.json alone. Run by scripts/bench-tasks.

Usage: tests/target/picture.py DIRECTORY (docs, or a copy of it)
"""

import json
import os
import re
import sys
from xml.sax.saxutils import escape

NAMES = {
    'warm': 'ptrace_scope, nothing to change',
    'changed': 'ptrace_scope, something to change',
    'ping': 'ansible.builtin.ping',
    'cold': 'ptrace_scope, sent for the first time',
    'stock': 'the same program as a stock binary module',
    'role': 'role of four tasks, nothing to change',
    'role changed': 'role of four tasks, something to change',
}
OURS, THEIRS = '#1a7f5a', '#8a94a6'
WIDTH, LEFT, ROW = 860, 316, 24


def number(value):
    return '{:,}'.format(round(value)) if value >= 10 else '%.1f' % value


def is_ours(subject):
    return subject in ('warm', 'changed', 'cold')


def panel(title, bars, y):
    """Return the lines of one scale: bars are name, whether it is ours, value, and what stands behind it."""
    longest = max(value for dummy, dummy, value, dummy in bars)
    out = ['<text x="16" y="%d" font-weight="bold">%s</text>' % (y, escape(title))]
    for name, ours, value, text in bars:
        y += ROW
        width = max(1, (WIDTH - LEFT - 110) * value / longest)
        out.append('<text x="%d" y="%d" text-anchor="end">%s</text>' % (LEFT - 8, y + 4, escape(name)))
        out.append('<rect x="%d" y="%d" width="%.1f" height="14" fill="%s"/>' % (LEFT, y - 7, width, OURS if ours else THEIRS))
        out.append('<text x="%.1f" y="%d">%s</text>' % (LEFT + width + 6, y + 4, escape(text)))
    return out, y + 2 * ROW


def picture(found):
    y, out = 28, []
    rows = {(row['rtt'], row['pipelining'], row['subject']): row for row in found['tasks']}
    for rtt in sorted(set(key[0] for key in rows)):
        title = 'Milliseconds per host, %s, pipelining on' % ('%d ms delay' % rtt if rtt else 'no delay')
        bars = [(NAMES[s], is_ours(s), rows[rtt, True, s]['ms'], number(rows[rtt, True, s]['ms'])) for s in NAMES]
        lines, y = panel(title, bars, y)
        out += lines
    fleet = found['fleet']
    bars = [(NAMES[s], is_ours(s), fleet[s + '_hosts_per_second'], number(fleet[s + '_hosts_per_second'])) for s in ('warm', 'role')]
    lines, y = panel('Hosts per second, %d hosts at forks %d' % (fleet['hosts'], fleet['forks']), bars, y)
    out += lines
    out.append('<text x="16" y="%d" font-size="11">%s</text>' % (y, escape('%s, %s' % (found['date'], found['machine']))))
    height = y + ROW // 2
    return '\n'.join([
        '<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13" fill="#20242c">'
        % (WIDTH, height, WIDTH, height),
        '<title>A task of hardening.yama compared with the alternatives</title>',
        '<rect width="%d" height="%d" fill="#ffffff"/>' % (WIDTH, height)] + out + ['</svg>', ''])


def table(head, rows):
    return '\n'.join('| %s |' % ' | '.join(row) for row in [head, ['---'] + ['---:'] * (len(head) - 1)] + rows)


def tables(found):
    rows = {(row['rtt'], row['pipelining'], row['subject']): row for row in found['tasks']}
    cpu = {(row['pipelining'], row['subject']): row['ms'] for row in found['processor']}
    rtts = sorted(set(key[0] for key in rows))
    fleet, versions = found['fleet'], found['versions']

    def both(of):
        return '%s / %s' % (of(False), of(True))

    times = table(
        ['milliseconds per host, pipelining off / on'] + ['%d ms delay' % rtt if rtt else 'no delay' for rtt in rtts],
        [[NAMES[s]] + [both(lambda p, s=s, rtt=rtt: number(rows[rtt, p, s]['ms'])) for rtt in rtts] for s in NAMES])
    costs = table(
        ['pipelining off / on', 'commands and transfers', 'round trips', 'bytes sent', 'bytes with `-C`', "controller's CPU time, ms"],
        [[NAMES[s],
          both(lambda p, s=s: round(rows[0, p, s]['commands'])),
          both(lambda p, s=s: round(rows[0, p, s]['turns'])),
          both(lambda p, s=s: number(rows[0, p, s]['sent'])),
          both(lambda p, s=s: number(rows[0, p, s]['sent_compressed'])),
          both(lambda p, s=s: number(cpu[p, s])) if (True, s) in cpu else ''] for s in NAMES])
    hosts = table(
        ['%d hosts at forks %d, nothing to change, pipelining on' % (fleet['hosts'], fleet['forks']), 'seconds', 'hosts per second', 'failures'],
        [[NAMES[s], number(fleet[s + '_seconds']), number(fleet[s + '_hosts_per_second']), str(fleet[s + '_failures'])] for s in ('warm', 'role')])
    where = 'Measured on %s: %s; %s.' % (
        found['date'], found['machine'], ', '.join('%s %s' % item for item in versions.items()))
    return '\n\n'.join([where, times, costs, hosts])


def main(directory):
    def at(name):
        return os.path.join(directory, name)
    with open(at('speed.json'), encoding='utf-8') as f:
        found = json.load(f)
    with open(at('speed.md'), encoding='utf-8') as f:
        text = f.read()
    text, marks = re.subn(
        r'(<!-- measured -->\n).*?(<!-- /measured -->)', lambda m: m.group(1) + tables(found) + '\n' + m.group(2), text, flags=re.DOTALL)
    if marks != 1:
        sys.exit('write the tables into %s: it has no <!-- measured --> … <!-- /measured -->' % at('speed.md'))
    with open(at('speed.md'), 'w', encoding='utf-8') as f:
        f.write(text)
    with open(at('speed.svg'), 'w', encoding='utf-8') as f:
        f.write(picture(found))


if __name__ == '__main__':
    main(sys.argv[1])
