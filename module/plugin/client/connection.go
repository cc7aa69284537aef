// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"sync/atomic"
	"time"

	"github.com/hashicorp/yamux"

	"hardening.yama/module/plugin/internal/wire"
)

// connect connects to the service, as go-plugin's own client would: by streams for its control, for
// what is printed to stdout and to stderr, and for what it calls a plugin. But that one has a bound
// to nothing that is sent, gives up a plugin that is busy for 40 seconds, and says so on our
// stderr; here, the deadline of each question is what counts.
func (m *Manager) connect(address net.Addr) error {
	connection, err := net.Dial(address.Network(), address.String())
	if err != nil {
		return err
	}
	m.connection = &metered{ReadWriteCloser: connection}
	m.connection.left.Store(answerLimit)
	session, err := yamux.Client(m.connection, patientMux())
	if err != nil {
		return err
	}
	streams := make([]net.Conn, 3)
	for i := range streams {
		if streams[i], err = session.Open(); err != nil {
			return err
		}
	}
	for _, printed := range streams[1:] {
		go io.Copy(m.process.talk, printed) //nolint:errcheck // until it ends
	}
	m.control = rpc.NewClient(streams[0])
	var id uint32
	if err := m.control.Call("Dispenser.Dispense", wire.Service, &id); err != nil {
		return err
	}
	service, err := session.Open()
	if err != nil {
		return err
	}
	var echo uint32
	err = errors.Join(binary.Write(service, binary.LittleEndian, id), binary.Read(service, binary.LittleEndian, &echo))
	if err == nil && echo != id {
		err = fmt.Errorf("asked for the stream %d, and got %d", id, echo)
	}
	m.rpc = rpc.NewClient(service)
	return err
}

// patientMux is yamux without deadlines of its own, and without a word.
func patientMux() *yamux.Config {
	c := yamux.DefaultConfig()
	c.EnableKeepAlive, c.StreamOpenTimeout, c.ConnectionWriteTimeout = false, 0, 24*time.Hour
	c.LogOutput = io.Discard
	return c
}

// metered is a connection on which only so much may come.
type metered struct {
	io.ReadWriteCloser
	left atomic.Int64
}

func (c *metered) Read(p []byte) (int, error) {
	n, err := c.ReadWriteCloser.Read(p)
	if c.left.Add(-int64(n)) <= 0 {
		return 0, io.EOF
	}
	return n, err
}
