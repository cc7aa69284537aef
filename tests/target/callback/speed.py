# SPDX-License-Identifier: GPL-3.0-or-later
"""
Measures each task that has a variable named subject: how long it took from its start to its answer, and what passed on the
wire meanwhile. Writes a line of JSON for each to $SPEED. Shows tasks that fail (FAILED), and those whose answer is not what
their variable changes says (WRONG).
"""

from __future__ import annotations

import json
import os
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = '''
name: speed
type: stdout
short_description: measures tasks
description: [Measures tasks.]
'''


class CallbackModule(CallbackBase):

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'stdout'
    CALLBACK_NAME = 'speed'

    def __init__(self):
        super().__init__()
        self._target, self._lines, self._before, self._wrong = os.environ['TARGET'], [], None, set()

    def _passed(self):
        """Return what has passed so far: commands and transfers, bytes sent, bytes received, turns."""
        with open(os.path.join(self._target, 'log'), encoding='utf-8', errors='replace') as f:
            commands = sum(line.startswith('Starting session: ') for line in f)
        with open(os.path.join(self._target, 'wire'), encoding='ascii') as f:
            return [commands] + [int(word) for word in f.read().split()]

    def v2_playbook_on_task_start(self, task, is_conditional):
        if 'subject' in task.get_vars():
            self._before = self._passed()
        self._start = time.monotonic()

    def v2_runner_on_ok(self, result):
        end, task = time.monotonic(), result._task
        wanted = task.get_vars()
        if 'subject' in wanted:
            line = dict(zip(('commands', 'sent', 'received', 'turns'), (b - a for a, b in zip(self._before, self._passed()))))
            line.update(subject=wanted['subject'], part=task.action, ms=(end - self._start) * 1000)
            self._lines.append(line)
        if 'changes' in wanted:
            # In the role that changes something, the tasks about packages do not.
            changes = wanted['changes'] and not task.action.split('.')[-1].startswith('package')
            if bool(result._result.get('changed')) != changes:
                self._wrong.add(result._host.get_name())
                self._display.display('WRONG %s: %s' % (task.action, result._result))

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._wrong.add(result._host.get_name())
        self._display.display('FAILED %s: %s' % (result._task.action, result._result))

    v2_runner_on_unreachable = v2_runner_on_failed

    def v2_playbook_on_stats(self, stats):
        self._display.display('%d hosts did all of it' % len(set(stats.ok) - self._wrong))
        with open(os.environ['SPEED'], 'a', encoding='ascii') as f:
            f.writelines(json.dumps(line) + '\n' for line in self._lines)
