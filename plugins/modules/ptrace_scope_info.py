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
short_description: Tell how far processes may look into each other with ptrace, and why
version_added: 0.1.0
author:
  - The hardening.yama authors (@hardening-yama)
description:
  - Tells what C(kernel.yama.ptrace_scope) is now, what the next boot will set, and what C(sysctl --system) would.
  - Lists every place that names the key, with what becomes of it and why; the debuggers that are installed, and what
    requires them; what would break at a stricter value; and which auditors the present state passes.
  - Writes nothing.
options:
  debuggers:
    description:
      - Names of further debuggers to look for, as for M(hardening.yama.ptrace_scope).
    type: list
    elements: str
    default: []
  ignore_debuggers:
    description:
      - Names of debuggers, or of their packages, to leave out, as for M(hardening.yama.ptrace_scope).
    type: list
    elements: str
    default: []
  catalog:
    description:
      - A file of YAML on the controller, with distributions and debuggers of your own that are added to those that the
        module knows. docs/catalog.md of the collection shows what it may say.
      - It is looked up like the C(src) of M(ansible.builtin.copy), in C(files/) of the role or next to the playbook.
    type: path
  proof:
    description:
      - Whether to have short-lived unprivileged processes try to trace each other, and to return RV(proof).
      - What is denied then appears in the kernel log. RV(denials) leaves it out.
    type: bool
    default: false
  backend_plugin:
    description:
      - A package manager of the site's own to ask, as for M(hardening.yama.ptrace_scope).
    type: dict
    suboptions:
      path:
        description:
          - The absolute path of the program.
        type: path
        required: true
      sha256:
        description:
          - The SHA-256 that its content must have, in hexadecimal digits.
        type: str
        required: true
attributes:
  check_mode:
    description: Can run in check mode and tells the same.
    support: full
  diff_mode:
    description: Changes nothing, so there is no difference.
    support: none
  platform:
    description: Where it runs. No Python is needed on the host.
    support: full
    platforms: linux
notes:
  - An ordinary user can run it as far as the files can be read.
  - That it was asked is a line in the host's system log, as with Ansible's own modules, unless C(no_log) is set.
  - The program is sent and kept on the host as for M(hardening.yama.ptrace_scope), unless check mode is on.
seealso:
  - module: hardening.yama.ptrace_scope
  - name: Yama in the kernel's administrator guide
    description: What each value of the scope means.
    link: https://docs.kernel.org/admin-guide/LSM/Yama.html
'''

EXAMPLES = r'''
---
- name: Ask what holds on a host, and why
  hardening.yama.ptrace_scope_info:
  become: true
  register: ptrace

- name: Fail where the next boot would bring another value than the kernel holds
  ansible.builtin.assert:
    that: ptrace.runtime == ptrace.persistent.boot
    fail_msg: "{{ ptrace.msg }}"
  when: ptrace.persistent is defined and ptrace.persistent.boot is not none
'''

RETURN = r'''
---
msg:
  description: What holds and why, in one sentence.
  returned: always
  type: str
  sample: "kernel.yama.ptrace_scope is 0 now, the next boot sets 0 by /usr/lib/sysctl.d/10-default-yama-scope.conf:1, and elfutils needs 0"
yama:
  description: Whether the running kernel has Yama.
  returned: when the host could be observed
  type: bool
  sample: true
runtime:
  description: The value in the running kernel. V(null) without Yama.
  returned: when the host could be observed
  type: int
  sample: 1
locked:
  description: Whether the running value is 3, which only a reboot leaves.
  returned: when the host could be observed
  type: bool
  sample: false
persistent:
  description: What the next boot sets.
  returned: when the host could be observed
  type: dict
  contains:
    boot:
      description: The value that systemd-sysctl sets at boot. V(null) where nothing names the key.
      type: int
      sample: 1
    boot_source:
      description: File and line that RV(persistent.boot) comes from, or V(null).
      type: str
      sample: /etc/sysctl.d/zz-ptrace_scope.conf:3
    reload:
      description: The value that C(sysctl --system) of procps would set. V(null) where nothing names the key.
      type: int
      sample: 1
    reload_source:
      description: File and line that RV(persistent.reload) comes from, or V(null).
      type: str
      sample: /etc/sysctl.d/zz-ptrace_scope.conf:3
settings:
  description: Every place that names the key, with what becomes of it.
  returned: when the host could be observed
  type: list
  elements: dict
  contains:
    file:
      description: The file, or C(/proc/cmdline).
      type: str
      sample: /usr/lib/sysctl.d/10-default-yama-scope.conf
    line:
      description: The line.
      type: int
      sample: 1
    value:
      description: The value as it is written.
      type: str
      sample: "0"
    origin:
      description: Whose it is. V(ours) is a file of this collection, V(vendor) a package's that nobody changed, V(local) all else.
      type: str
      sample: vendor
    package:
      description: The package that the file belongs to, or V(null).
      type: str
      sample: yama-ptrace-enable
    standing:
      description: What becomes of it, V(effective), V(overridden), V(masked), or V(refused) by the kernel.
      type: str
      sample: overridden
    by:
      description: The place that overrides it, or the file that masks it. V(null) where there is none.
      type: str
      sample: /etc/sysctl.d/zz-ptrace_scope.conf:3
    loader:
      description: For which loader it stands so, V(boot), V(reload) or V(both).
      type: str
      sample: both
packages:
  description: The package manager, and the enabler.
  returned: when the host could be observed
  type: dict
  contains:
    manager:
      description: The package manager in use, V(none) where there is none that the module knows.
      type: str
      sample: dnf5
    read_only:
      description: Why no package can be installed or removed on this host, for instance because it boots images. V(null) where they can.
      type: str
      sample: null
    enabler:
      description: The installed package whose drop-in sets 0, or V(null).
      type: str
      sample: yama-ptrace-enable
debuggers:
  description: The installed tools that attach to processes they did not start. They need 0.
  returned: when the host could be observed
  type: list
  elements: dict
  contains:
    name:
      description: Name of the package, or the path of the program.
      type: str
      sample: elfutils
    version:
      description: Version of the package, V(null) for a program.
      type: str
      sample: 0.196-1.fc45
    source:
      description: How it was found, V(package) or V(path).
      type: str
      sample: package
    why:
      description: Which installed packages require it, and which require those.
      type: str
      sample: required by debugedit (required by rpm-build)
breaks:
  description: For each value the installed tools that it would break for ordinary users, in addition to the value before.
  returned: when the host could be observed
  type: dict
  contains:
    "1":
      description: Tools that attach to processes they did not start.
      type: list
      elements: str
      sample: [elfutils]
    "2":
      description: Tools that trace their own children.
      type: list
      elements: str
      sample: [rr]
    "3":
      description: All of them again, for root too.
      type: list
      elements: str
      sample: [elfutils, rr]
denials:
  description: What Yama denied since the boot, as far as the kernel log goes back, the latest last, 20 at most. V(null) where the log cannot be read.
  returned: when the host could be observed
  type: list
  elements: dict
  contains:
    access:
      description: What was tried, V(attach) or V(traceme).
      type: str
      sample: attach
    tracer:
      description: The command line that tried.
      type: str
      sample: eu-stack -p 499
    target:
      description: The command line that was to be traced.
      type: str
      sample: sleep 301
    times:
      description: How often the log has it.
      type: int
      sample: 1
proof:
  description: What unprivileged processes of ours met when they tried to trace each other, each V(allowed), V(denied), or another error's text.
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
      description: Asking one's parent to trace, as C(strace ./program) does.
      type: str
      sample: allowed
auditors:
  description: Which auditors the present state passes.
  returned: when the host could be observed
  type: list
  elements: dict
  contains:
    name:
      description: The auditor or benchmark.
      type: str
      sample: CIS
    passes:
      description: Whether it is satisfied.
      type: bool
      sample: false
    wants:
      description: What it would still want, or V(null).
      type: str
      sample: a line in a file of the administrator's that says 1
container:
  description: What kind of container this is, as systemd, Podman or Docker mark it. V(null) on a machine.
  returned: when the host could be observed
  type: str
  sample: podman
selinux_deny_ptrace:
  description: Whether SELinux' boolean C(deny_ptrace) is on. V(null) without SELinux.
  returned: when the host could be observed
  type: bool
  sample: false
log:
  description: The lines of the log, with what was asked of the package manager, by which program and for how long.
  returned: with C(-vvv), unless C(no_log) is set
  type: list
  elements: str
  sample: ["[DEBUG] decide: scope=1 because=\"no debugger is installed\" actions=0"]
warnings:
  description: What an administrator should know besides.
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
