# Copyright: (c) 2026, The hardening.yama authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts the module ptrace_scope_info, which is a program."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ansible_collections.hardening.yama.plugins.plugin_utils.program import ProgramAction


class ActionModule(ProgramAction):

    module = 'hardening.yama.ptrace_scope_info'
