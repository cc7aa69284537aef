// SPDX-License-Identifier: GPL-3.0-or-later

// Bom prints the bill of materials of an artifact (CycloneDX 1.5): the components, their licenses,
// and the provenance. scripts/dist runs it. Usage: bom -commit ID -date TIME -builder NAME STAGE.
// STAGE is the directory of the artifact's files. Standard input has the commands that made the
// programs, one a line.
package main

import (
	"bufio"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// The types have the names and keys of the standard (https://cyclonedx.org/docs/1.5/json/).
type (
	bom struct {
		Format      string      `json:"bomFormat"`
		SpecVersion string      `json:"specVersion"`
		Version     int         `json:"version"`
		Metadata    metadata    `json:"metadata"`
		Components  []component `json:"components"`
		Formulation []formula   `json:"formulation"`
	}
	metadata struct {
		Timestamp string    `json:"timestamp"`
		Component component `json:"component"`
	}
	component struct {
		Type               string      `json:"type"`
		Name               string      `json:"name"`
		Version            string      `json:"version,omitempty"`
		PURL               string      `json:"purl,omitempty"`
		Licenses           []licensed  `json:"licenses,omitempty"`
		Hashes             []hash      `json:"hashes,omitempty"`
		Properties         []property  `json:"properties,omitempty"`
		ExternalReferences []reference `json:"externalReferences,omitempty"`
		Pedigree           *pedigree   `json:"pedigree,omitempty"`
		Components         []component `json:"components,omitempty"`
	}
	licensed struct {
		License struct {
			ID string `json:"id"`
		} `json:"license"`
	}
	hash struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	reference struct {
		Type string `json:"type"`
		URL  string `json:"url"`
	}
	pedigree struct {
		Commits []commit `json:"commits"`
	}
	commit struct {
		UID string `json:"uid"`
	}
	formula struct {
		Workflows []workflow `json:"workflows"`
	}
	workflow struct {
		Ref        string     `json:"bom-ref"`
		UID        string     `json:"uid"`
		Name       string     `json:"name"`
		TaskTypes  []string   `json:"taskTypes"`
		Steps      []step     `json:"steps"`
		Properties []property `json:"properties"`
	}
	step struct {
		Commands []command `json:"commands"`
	}
	command struct {
		Executed string `json:"executed"`
	}
)

func main() {
	var o origin
	flag.StringVar(&o.commit, "commit", "", "the commit that the artifact is made of")
	flag.StringVar(&o.date, "date", "", "its time (RFC 3339)")
	flag.StringVar(&o.builder, "builder", "", "the system that made the builds")
	flag.Parse()
	if err := run(flag.Arg(0), o, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bom:", err)
		os.Exit(1)
	}
}

// origin is the part of the provenance that the files of the artifact do not tell.
type origin struct{ commit, date, builder string }

func run(stage string, o origin, commands io.Reader, w io.Writer) error {
	if stage == "" || o.commit == "" || o.builder == "" {
		return fmt.Errorf("a directory, -commit and -builder are required")
	}
	date, err := time.Parse(time.RFC3339, o.date)
	if err != nil {
		return fmt.Errorf("-date: %w", err)
	}
	galaxy, err := readGalaxy(stage)
	if err != nil {
		return err
	}
	builds, linked, err := readBuilds(stage)
	if err != nil {
		return err
	}
	build := workflow{Ref: "builds", UID: o.commit, Name: "make dist", TaskTypes: []string{"build"}}
	build.Properties = []property{{"builder", o.builder}}
	for lines := bufio.NewScanner(commands); lines.Scan(); {
		build.Steps = append(build.Steps, step{[]command{{lines.Text()}}})
	}
	if len(build.Steps) == 0 {
		return fmt.Errorf("no command on standard input")
	}
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(bom{
		Format: "CycloneDX", SpecVersion: "1.5", Version: 1,
		Metadata: metadata{
			Timestamp: date.UTC().Format(time.RFC3339),
			Component: component{
				Type:               "application",
				Name:               galaxy.Namespace + "." + galaxy.Name,
				Version:            galaxy.Version,
				Licenses:           licenses(galaxy.License...),
				ExternalReferences: []reference{{"vcs", galaxy.Repository}},
				Pedigree:           &pedigree{[]commit{{o.commit}}},
				Components:         builds,
			},
		},
		Components:  linked,
		Formulation: []formula{{[]workflow{build}}},
	})
}

// galaxy is the part of galaxy.yml that is needed.
type galaxy struct {
	Namespace, Name, Version, Repository string
	License                              []string
}

func readGalaxy(stage string) (g galaxy, err error) {
	text, err := os.ReadFile(filepath.Join(stage, "galaxy.yml")) // #nosec G304 -- our own file
	if err != nil {
		return galaxy{}, err
	}
	return g, yaml.Unmarshal(text, &g)
}

// readBuilds returns the programs in the stage, and what is linked into them: Go's standard
// library and modules.
func readBuilds(stage string) (builds, linked []component, err error) {
	files, err := filepath.Glob(filepath.Join(stage, "plugins/modules/__bin__/*_linux_*"))
	if err != nil {
		return nil, nil, err
	}
	if len(files) == 0 {
		return nil, nil, fmt.Errorf("no builds in %s", stage)
	}
	versions := map[string]string{}
	link := func(c component) error {
		if seen, ok := versions[c.Name]; ok && seen != c.Version {
			return fmt.Errorf("%s is linked as %s and as %s", c.Name, seen, c.Version)
		} else if ok {
			return nil
		}
		versions[c.Name] = c.Version
		ids, err := licensesOf(stage, c.Name)
		c.Licenses = licenses(ids...)
		linked = append(linked, c)
		return err
	}
	for _, file := range files {
		build, err := readBuild(file)
		if err != nil {
			return nil, nil, err
		}
		if err := link(component{Type: "platform", Name: "go", Version: build.info.GoVersion}); err != nil {
			return nil, nil, err
		}
		for _, module := range build.info.Deps {
			purl := "pkg:golang/" + module.Path + "@" + module.Version
			c := component{Type: "library", Name: module.Path, Version: module.Version, PURL: purl}
			if module.Replace != nil {
				c.Properties = []property{{"modified", module.Replace.Path}}
			}
			err := link(c)
			if err != nil {
				return nil, nil, err
			}
		}
		builds = append(builds, build.component(stage))
	}
	slices.SortFunc(linked[1:], func(a, b component) int { return strings.Compare(a.Name, b.Name) })
	return builds, linked, nil
}

// build is a program in the stage.
type build struct {
	file   string
	sha256 string
	info   *buildinfo.BuildInfo
}

func readBuild(file string) (build, error) {
	text, err := os.ReadFile(file) // #nosec G304 -- our own file
	if err != nil {
		return build{}, err
	}
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return build{}, err
	}
	return build{file, fmt.Sprintf("%x", sha256.Sum256(text)), info}, nil
}

// component is the build with its checksum and the settings that Go notes in it. With -trimpath
// these are without -ldflags, which the commands show.
func (b build) component(stage string) component {
	c := component{Type: "file", Name: strings.TrimPrefix(b.file, stage+"/"), Hashes: []hash{{"SHA-256", b.sha256}}}
	c.Properties = []property{{"go", b.info.GoVersion}}
	for _, setting := range b.info.Settings {
		c.Properties = append(c.Properties, property{setting.Key, setting.Value})
	}
	return c
}

// says has words for each license that no other license has.
var says = [...]struct{ words, id string }{
	{"Mozilla Public License", "MPL-2.0"},
	{"Apache License", "Apache-2.0"},
	{"Neither the name of", "BSD-3-Clause"},
	{"Permission is hereby granted, free of charge", "MIT"},
}

// licensesOf returns the licenses of a module, or of Go, by the texts in LICENSES. Some have two.
func licensesOf(stage, name string) (ids []string, err error) {
	at := filepath.Join(stage, "LICENSES", strings.ReplaceAll(name, "/", "_"))
	files, err := filepath.Glob(at + ".LICENSE*")
	if err != nil {
		return nil, err
	}
	if name == "go" {
		files = []string{at}
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file) // #nosec G304 -- our own file
		if err != nil {
			return nil, err
		}
		all.Write(text)
	}
	for _, license := range says {
		if strings.Contains(all.String(), license.words) {
			ids = append(ids, license.id)
		}
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("%s: none of its %d license texts is known", name, len(files))
	}
	return ids, nil
}

// licenses are licenses in the form of the standard, by their SPDX identifiers.
func licenses(ids ...string) []licensed {
	all := make([]licensed, len(ids))
	for i, id := range ids {
		all[i].License.ID = id
	}
	return all
}
