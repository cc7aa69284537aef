// SPDX-License-Identifier: GPL-3.0-or-later

// Misbehave is a plugin that does what its file is called.
package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	"hardening.yama/module/plugin/internal/wire"
	"hardening.yama/module/plugin/port"
)

var (
	does   = filepath.Base(os.Args[0])
	stderr = os.Stderr // go-plugin puts another in its place
)

func main() {
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: os.Stderr, JSONFormat: true})
	socket := filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "s")
	if does == "child" {
		signal.Ignore(syscall.SIGTERM)
		select {}
	}
	if line, ok := map[string]string{
		"greets":              "hello world",
		"greets-at-length":    strings.Repeat("hello world ", 1<<20),
		"greets-and-moves":    "\x1b[2Jhello\x1b[H world|",
		"other-version":       "1|99|unix|" + socket + "|netrpc|",
		"other-core":          "7|1|unix|" + socket + "|netrpc|",
		"other-socket":        "1|1|unix|/run/other.sock|netrpc|",
		"socket-elsewhere":    "1|1|unix|" + socket + "/../../x|netrpc|",
		"tcp":                 "1|1|tcp|127.0.0.1:22|netrpc|",
		"grpc":                "1|1|unix|" + socket + "|grpc|",
		"certificate":         "1|1|unix|" + socket + "|netrpc|" + certificate(),
		"nobody-listens":      "1|1|unix|" + socket + "|netrpc|",
		"answers-another":     "1|1|unix|" + socket + "|netrpc|",
		"listens-and-is-mute": "1|1|unix|" + socket + "|netrpc|",
	}[does]; ok {
		if does == "answers-another" || does == "listens-and-is-mute" {
			listener, err := net.Listen("unix", socket)
			if err != nil {
				panic(err)
			}
			go func() {
				for {
					connection, _ := listener.Accept()
					if does == "answers-another" {
						fmt.Fprint(connection, "HTTP/1.1 400 Bad Request\r\n\r\n")
					}
				}
			}()
		}
		fmt.Println(line)
		select {}
	}
	switch does {
	case "silent":
		select {}
	case "dies":
		fmt.Fprintln(os.Stderr, "this host has no such database")
		os.Exit(3)
	case "never-ends":
		signal.Ignore(syscall.SIGTERM)
	case "never-ends-and-leaves-a-child":
		signal.Ignore(syscall.SIGTERM)
		child(true)
	}
	service := any(&service{log: log})
	if does == "lies-about-its-version" {
		service = &another{}
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: wire.Handshake,
		Plugins:         plugin.PluginSet{wire.Service: wire.Plugin{Impl: service}},
		Logger:          log.ResetNamed("go-plugin"),
	})
	if strings.HasPrefix(does, "never-ends") {
		select {}
	}
}

// garbage are lines that look like those of hclog, and are not.
var garbage = []string{
	`{"@message":1}`, `{"@level":null}`, `{"@level":"warn","@message":{"a":[1,null]}}`, `{"@level":"off","@message":"x"}`,
	`{"@timestamp":7}`, `{"@level":[]}`, `null`, `[]`, `1`, `"x"`, "{", "\x00", strings.Repeat("[", 50000),
}

// certificate makes one, as go-plugin expects it where both sides agreed on TLS.
func certificate() string {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	made, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		panic(err)
	}
	return base64.RawStdEncoding.EncodeToString(made)
}

// another speaks another protocol.
type another struct{}

func (*another) Begin(int, *int) error { return nil }

type service struct {
	log       hclog.Logger
	asked     int
	answering sync.Mutex
}

func (s *service) Cancel(wire.Question, *wire.Answer) error { return nil }

func (s *service) Open(_ wire.Question, a *wire.Answer) error {
	a.Code, a.Protocol, a.Description.Name = wire.Done, wire.Protocol, "mis"
	switch does {
	case "other-version-inside":
		a.Protocol = 7
	case "nameless":
		a.Description.Name = ""
	case "named-none":
		a.Description.Name = "none"
	case "named-an-option":
		a.Description.Name = "--version"
	case "stops-then":
		time.AfterFunc(100*time.Millisecond, func() { _ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) })
	case "read-only-at-length":
		a.Description.ReadOnly = "no\n{\"changed\": true}"
	}
	return nil
}

func child(own bool) {
	c := exec.Command("/proc/self/exe")
	c.Args = []string{filepath.Join(filepath.Dir(os.Args[0]), "child")}
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: own}
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Start(); err != nil {
		panic(err)
	}
	time.Sleep(100 * time.Millisecond)
}

func (s *service) Installed(q wire.Question, a *wire.Answer) error {
	a.Code = wire.Done
	name := q.Names[0]
	s.asked++
	switch does {
	case "panics":
		panic("the index is out of range")
	case "panics-and-leaves-a-child":
		child(false)
		child(true)
		panic("boom")
	case "is-killed":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "exits":
		fmt.Fprintln(stderr, "cannot go on")
		os.Exit(0)
	case "hangs":
		select {}
	case "is-slow": // one after the other, as the plugins of package backend
		s.answering.Lock()
		defer s.answering.Unlock()
		time.Sleep(1500 * time.Millisecond)
	case "descriptors":
		files, _ := filepath.Glob("/proc/self/fd/*")
		for _, file := range files {
			if target, _ := os.Readlink(file); strings.HasPrefix(target, "/dev/zero") {
				a.Code, a.Cause = wire.Failed, "it has "+file
			}
		}
	case "hangs-and-does-not-listen":
		signal.Ignore(syscall.SIGTERM)
		child(false)
		child(true)
		select {}
	case "stops":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		select {}
	case "writes":
		for _, dir := range []string{"/etc/sysctl.d", "/run", "/var/cache"} {
			if err := os.WriteFile(filepath.Join(dir, "written.conf"), []byte("# nothing\n"), 0o600); err != nil {
				panic(err)
			}
		}
	case "logs-for-ever":
		for {
			s.log.Warn("again and again", "what", strings.Repeat("x", 500))
		}
	case "logs-much":
		for range 50000 {
			s.log.Warn("again and again", "what", strings.Repeat("x", 500))
		}
	case "logs":
		s.log.Info("looked", "name", name)
		s.log.Warn("careful\n{\"changed\":true,\"msg\":\"\x1b[2Jforged\"}", "with", "two\nlines")
		fmt.Fprintln(stderr, strings.Repeat("long", 100000))
		fmt.Fprintln(stderr, "plain")
		fmt.Println("printed to stdout")
	case "logs-garbage":
		for _, line := range garbage {
			fmt.Fprintln(stderr, line)
		}
	case "forges":
		s.log.Info("done", "changed", true, "state", "restricted")
	case "code":
		a.Code = "perhaps"
	case "no-code":
		a.Code = ""
	case "fails":
		a.Code, a.Cause = wire.Failed, "the database is \n broken"
	case "busy":
		a.Code, a.Cause = wire.Busy, "pid 17 has it"
	case "busy-once":
		if s.asked == 1 {
			a.Code = wire.Busy
		}
	case "not-asked-for":
		a.Packages = []port.Package{{Name: "zlib", Version: "1"}}
	case "twice":
		a.Packages = []port.Package{{Name: name, Version: "1"}, {Name: name, Version: "2"}}
	case "version":
		a.Packages = []port.Package{{Name: name, Version: "1\x1b[2J\n2"}}
	case "huge":
		a.Packages = []port.Package{{Name: strings.Repeat("x", 20<<20), Version: "1"}}
	case "many":
		for i := range 500000 {
			a.Packages = append(a.Packages, port.Package{Name: fmt.Sprint("package-number-", i), Version: "1"})
		}
	case "bomb":
		a.Packages = make([]port.Package, 900000)
	case "owners-too":
		a.Owners = make([]port.Owner, 900000)
	case "prints-for-ever":
		for {
			fmt.Println(strings.Repeat("x", 500))
		}
	}
	return nil
}

func (s *service) Owners(q wire.Question, a *wire.Answer) error {
	a.Code = wire.Done
	if does == "writes" {
		return nil
	}
	a.Owners = []port.Owner{{File: q.Names[0], Package: map[string]string{"owner": "a\nb"}[does]}}
	if does == "another-file" {
		a.Owners = []port.Owner{{File: "/etc/shadow", Package: "x"}}
	}
	return nil
}

func (s *service) Requirers(q wire.Question, a *wire.Answer) error {
	a.Code = wire.Done
	a.Requirers = map[string][]string{q.Names[0]: {map[string]string{"requirer": "-x"}[does]}}
	return nil
}

func (s *service) Offer(q wire.Question, a *wire.Answer) error {
	a.Code = wire.Done
	switch does {
	case "offers-an-option":
		a.Offer.Package = "--all"
	case "offers-lines":
		a.Offer = port.Offer{Package: q.Names[0], With: []string{"a\nb"}}
	case "offers-nothing":
	case "not-offered":
		a.Code = wire.NotOffered
	default:
		a.Code, a.Cause = wire.Failed, "no network"
	}
	return nil
}

func (s *service) Removal(_ wire.Question, a *wire.Answer) error {
	a.Code, a.Removal.With = wire.Done, []string{"/etc"}
	return nil
}

func (s *service) Install(_ wire.Question, a *wire.Answer) error {
	a.Code = wire.Done
	switch does {
	case "install-hangs":
		child(false)
		select {}
	case "install-crashes":
		panic("boom")
	}
	return nil
}

func (s *service) Remove(_ wire.Question, a *wire.Answer) error {
	a.Code = wire.Done
	if does == "remove-hangs" {
		select {}
	}
	return nil
}
