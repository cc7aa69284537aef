// SPDX-License-Identifier: GPL-3.0-or-later

//go:build plugins

package main

const runsPlugins = true
