// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !pluginhost

package main

const runsPlugins = false
