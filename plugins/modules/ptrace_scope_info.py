#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The hardening.yama authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Made from schema/ptrace_scope_info.yml by "make generate": change it there.
# This file is documentation. The module itself is a program, built into plugins/modules/__bin__ and started by the
# action plugin of the same name.

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r'''
---
module: ptrace_scope_info
short_description: Report the Yama ptrace scope, which limits the processes that a debugger may attach to
version_added: 0.1.0
author:
  - The hardening.yama authors (@hardening-yama)
description:
  - Reports the current value of C(kernel.yama.ptrace_scope), the value after the next boot, and the value that
    C(sysctl --system) would set.
  - Reports every file that sets the key, its package, and whether the setting takes effect. Also reports the installed
    debuggers, and the packages that require them.
  - Reports the tools that a stricter value would break, recent denials, and the auditors that accept the present state.
  - Read-only.
options:
  debuggers:
    description:
      - Names or patterns of further debuggers to look for, as for M(hardening.yama.ptrace_scope).
    type: list
    elements: str
    default: []
  ignore_debuggers:
    description:
      - Names or patterns of debuggers, packages or programs to leave out, as for M(hardening.yama.ptrace_scope).
    type: list
    elements: str
    default: []
  catalog:
    description:
      - A YAML file on the controller. It adds your own distributions and debuggers to those that the module knows.
        C(docs/catalog.md) of the collection describes the format.
      - The file is looked up like the C(src) of M(ansible.builtin.copy). That is in C(files/) of the role, or next to the
        playbook.
    type: path
  proof:
    description:
      - Whether to start short-lived unprivileged test processes that try to trace each other, and to return RV(proof). As
        root, the module gives them a user ID that no account and no other process has.
      - The module fails if these processes can do more than the scope allows. It warns if they can do less, or if they could
        not try.
      - The kernel logs the attempts that it denies. RV(denials) leaves these out.
    type: bool
    default: false
  backend_plugin:
    description:
      - A package manager plugin of your own, as for M(hardening.yama.ptrace_scope).
    type: dict
    suboptions:
      path:
        description:
          - The absolute path of the program.
        type: path
        required: true
      sha256:
        description:
          - The SHA-256 checksum of the program, in hexadecimal digits. A program with another checksum is not run.
        type: str
        required: true
attributes:
  check_mode:
    description: Can run in check mode and reports the same.
    support: full
  diff_mode:
    description: Changes nothing, so it returns no difference.
    support: none
  platform:
    description: Runs on Linux. The host needs no Python.
    support: full
    platforms: linux
notes:
  - An ordinary user can run it, as far as that user can read the files.
  - The action group C(group/hardening.yama.ptrace) for C(module_defaults) has both modules. It may hold only the options of
    both modules, which are O(debuggers), O(ignore_debuggers), O(catalog) and O(backend_plugin).
  - Writes one line to the system log of the host, as Ansible's own modules do. With C(no_log) or C(no_target_syslog)
    nothing is logged.
  - The program is sent and kept on the host as for M(hardening.yama.ptrace_scope). In check mode it is sent and not kept.
  - Options are passed on the command line of the cached program, as for M(hardening.yama.ptrace_scope).
seealso:
  - module: hardening.yama.ptrace_scope
  - name: Yama in the kernel's administrator guide
    description: The meaning of each value of the scope.
    link: https://docs.kernel.org/admin-guide/LSM/Yama.html
'''

EXAMPLES = r'''
---
- name: Report the value on a host, and the reason
  hardening.yama.ptrace_scope_info:
  become: true
  register: ptrace

- name: Fail if the next boot would change the running value
  ansible.builtin.assert:
    that: ptrace.runtime == ptrace.persistent.boot
    fail_msg: "{{ ptrace.msg }}"
  when: ptrace.persistent is defined and ptrace.persistent.boot is not none
'''

RETURN = r'''
---
msg:
  description: The present state and the reason, in one sentence.
  returned: always
  type: str
  sample: "kernel.yama.ptrace_scope is 1 now, the next boot sets 1 by /etc/sysctl.d/10-ptrace.conf:1, and strace needs 0"
yama:
  description: Whether the running kernel has Yama. V(null) if the kernel cannot be asked, because C(/proc/sys) is not mounted.
  returned: when the host could be observed
  type: bool
  sample: true
runtime:
  description: The value in the running kernel. V(null) without Yama.
  returned: when the host could be observed
  type: int
  sample: 1
locked:
  description: Whether the running value is 3, which only a reboot can undo.
  returned: when the host could be observed
  type: bool
  sample: false
persistent:
  description: The value after the next boot.
  returned: when the host could be observed
  type: dict
  contains:
    boot:
      description:
        - The value that the next boot sets. systemd-sysctl sets it on most hosts, and a boot script on hosts with OpenRC, runit or
          sysvinit. ufw comes after them.
        - V(null) if no file sets the key, or if it is not known what the boot of this host sets. Then a warning says why.
      type: int
      sample: 1
    boot_source:
      description: The file and line that RV(persistent.boot) comes from, or V(null).
      type: str
      sample: /etc/sysctl.d/10-ptrace.conf:1
    reload:
      description: The value that C(sysctl --system) of procps would set. V(null) if no file sets the key.
      type: int
      sample: 1
    reload_source:
      description: The file and line that RV(persistent.reload) comes from, or V(null).
      type: str
      sample: /etc/sysctl.d/10-ptrace.conf:1
settings:
  description:
    - Every line that sets the key, and whether it takes effect.
    - The list has at most 100 lines. The lines that take effect are always in it. A warning counts the other lines.
  returned: when the host could be observed
  type: list
  elements: dict
  contains:
    file:
      description: The file, or C(/proc/cmdline).
      type: str
      sample: /etc/sysctl.d/10-ptrace.conf
    line:
      description: The number of the line.
      type: int
      sample: 1
    value:
      description: The value as it is written.
      type: str
      sample: "1"
    origin:
      description:
        - The owner of the file. V(ours) is a file of this collection. V(vendor) is a file in C(/usr/lib), or an unchanged file of a package.
        - V(local) is any other file.
      type: str
      sample: vendor
    package:
      description: The package that owns the file, or V(null).
      type: str
      sample: procps
    standing:
      description: Whether the line takes effect. One of V(effective), V(overridden), V(masked), and V(refused) by the kernel.
      type: str
      sample: effective
    by:
      description: The file and line that override it, or the file that masks it, or V(null).
      type: str
      sample: null
    loader:
      description:
        - Which loader this applies to. V(boot) is the program that loads settings at boot, in most cases systemd-sysctl. V(reload) is
          C(sysctl --system), V(both) is both of them. V(ufw) is ufw, which loads its own file after the boot's program.
      type: str
      sample: both
packages:
  description: The package manager, and the enabler.
  returned: when the host could be observed
  type: dict
  contains:
    manager:
      description: The package manager in use. V(none) if the host has none that the module knows.
      type: str
      sample: apt
    read_only:
      description: The reason why no package can be installed or removed on this host, or V(null). One reason is a host that boots images.
      type: str
      sample: null
    enabler:
      description: The installed package whose drop-in sets 0, or V(null).
      type: str
      sample: null
debuggers:
  description: The installed tools that attach to processes that they did not start. For ordinary users they need scope 0.
  returned: when the host could be observed
  type: list
  elements: dict
  contains:
    name:
      description: The name of the package, or of the program.
      type: str
      sample: strace
    version:
      description: The version of the package. V(null) for a program.
      type: str
      sample: "6.13"
    source:
      description: V(package) if the package database has it, V(path) if a program was found.
      type: str
      sample: package
    counts:
      description:
        - Whether C(state=auto) counts it. V(false) if only packages require it that need a debugger for their own work, such
          as C(anaconda-install-env-deps) on a host that was installed from a live image.
        - V(null) if this depends on the packages that require it, and another setting decides, so that the module did not
          ask.
      type: bool
      sample: true
    why:
      description:
        - The installed packages that require it, and the packages that require those.
        - If it was in question whether it counts, the reason why it counts or not.
      type: str
      sample: required by debugedit (required by rpm-build)
breaks:
  description: Installed tools that would stop working at a scope and still work at the next lower one. One element for each of the scopes 1, 2 and 3.
  returned: when the host could be observed
  type: list
  elements: dict
  contains:
    scope:
      description: The scope.
      type: int
      sample: 1
    tools:
      description:
        - The tools. At 1 these are tools that attach to processes that they did not start. At 2 these are tools that trace their own children.
        - At 3 these are all of the tools again.
      type: list
      elements: str
      sample: [strace]
    who:
      description: The users for whom these tools would stop working, V(ordinary users) or V(root).
      type: str
      sample: ordinary users
denials:
  description: Attempts that Yama denied since the boot, at most 20, the latest last. V(null) if the kernel log cannot be read.
  returned: when the host could be observed
  type: list
  elements: dict
  contains:
    access:
      description: The kind of attempt, V(attach) or V(traceme).
      type: str
      sample: attach
    tracer:
      description: The command line of the process that tried to trace.
      type: str
      sample: eu-stack -p 499
    target:
      description: The command line of the process that was to be traced.
      type: str
      sample: sleep 301
    times:
      description: The number of entries in the log.
      type: int
      sample: 1
proof:
  description:
    - The results of the test processes that tried to trace each other. Each is V(allowed), V(denied), or the text of another
      error.
    - V(null) if they could not try. RV(warnings) has the reason.
  returned: with O(proof=true)
  type: dict
  contains:
    sibling:
      description: Attaching to a process that the tracer did not start.
      type: str
      sample: denied
    child:
      description: Attaching to the tracer's own child.
      type: str
      sample: allowed
    named:
      description: Attaching to a process that named its tracer with C(PR_SET_PTRACER).
      type: str
      sample: allowed
    traceme:
      description: Asking the parent process to trace, as C(strace ./program) does.
      type: str
      sample: allowed
auditors:
  description: The auditors and benchmarks, and whether the present state passes.
  returned: when the host could be observed
  type: list
  elements: dict
  contains:
    name:
      description: The auditor or benchmark.
      type: str
      sample: dev-sec
    passes:
      description: Whether the present state passes.
      type: bool
      sample: false
    wants:
      description: The requirements that the host does not meet, or V(null).
      type: str
      sample: 2 or more in the running kernel
container:
  description: The kind of container, as systemd, Podman or Docker mark it. V(null) outside of containers.
  returned: when the host could be observed
  type: str
  sample: podman
selinux_deny_ptrace:
  description: Whether the SELinux boolean C(deny_ptrace) is on. V(null) without SELinux.
  returned: when the host could be observed
  type: bool
  sample: false
log:
  description: The lines of the log. They include each question to the package database, with the program and the time it took.
  returned: with C(-vvv), unless C(no_log) is set
  type: list
  elements: str
  sample: ["[INFO]  Invoked with: proof=false"]
warnings:
  description: Problems that did not make the task fail.
  returned: when there are any
  type: list
  elements: str
'''

from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(
        argument_spec=dict(
            debuggers=dict(type='list', elements='str', default=[]),
            ignore_debuggers=dict(type='list', elements='str', default=[]),
            catalog=dict(type='path'),
            proof=dict(type='bool', default=False),
            backend_plugin=dict(type='dict', options=dict(
                path=dict(type='path', required=True),
                sha256=dict(type='str', required=True),
            )),
        ),
        supports_check_mode=True,
    )
    module.fail_json(
        msg='hardening.yama.ptrace_scope_info was started without its action plugin: '
            'plugins/action/ptrace_scope_info.py is missing from this installation of the collection')


if __name__ == '__main__':
    main()
