# Copyright: (c) 2026, The hardening.yama authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts the build of the program that fits the target's architecture. Options are checked by the program itself."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

# What uname -sm prints, and the build for it.
BUILDS = {
    'Linux x86_64': 'linux_amd64',
    'Linux aarch64': 'linux_arm64',
    'Linux ppc64le': 'linux_ppc64le',
    'Linux s390x': 'linux_s390x',
    'Linux riscv64': 'linux_riscv64',
}

BUILD_DIR = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'modules', '__bin__')


class ProgramAction(ActionBase):
    """The action of a module that is a program. The program learns from _hardening_yama_module which of them it is."""

    module = None

    def run(self, tmp=None, task_vars=None):
        # Set here: the attribute became a property of the class in some versions of ansible-core.
        self._supports_async = True
        self._supports_check_mode = True
        result = super(ProgramAction, self).run(tmp, task_vars)
        del tmp
        if result.get('skipped'):
            return result

        name = 'ptrace_scope_%s' % self._build()
        wrap_async = self._task.async_val and not getattr(self._connection, 'has_native_async', False)
        result.update(self._execute_module(
            module_name='hardening.yama.__bin__.%s' % name,
            module_args=dict(self._task.args, _hardening_yama_module=self.module),
            task_vars=task_vars,
            wrap_async=wrap_async,
        ))
        if not wrap_async:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _build(self):
        """Return the name of the build for the target, or fail with what is missing."""
        answer = self._low_level_execute_command('uname -sm', sudoable=False)
        lines = answer.get('stdout', '').strip().splitlines()
        machine = lines[-1].strip() if lines else ''
        if answer.get('rc') != 0 or not machine:
            raise AnsibleActionFail('ask the target for its architecture (uname -sm): %s' % (answer.get('stderr') or 'no answer').strip())
        build = BUILDS.get(machine)
        if build is None:
            raise AnsibleActionFail('%s has no build for %s: it is built for %s' % (self.module, machine, ', '.join(sorted(BUILDS))))
        path = os.path.join(BUILD_DIR, 'ptrace_scope_%s' % build)
        if not os.path.exists(path):
            raise AnsibleActionFail(
                '%s has no build for %s in this installation: %s is missing. '
                'In a checkout of the collection, run: make build GOARCH=%s' % (self.module, machine, path, build.split('_')[1]))
        return build
