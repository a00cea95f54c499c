// A server on the Go SDK. It has the tools of the farm, and writes a line for each that it runs.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	overHTTP := flag.Bool("http", false, "serve Streamable HTTP on a port of its own")
	path := flag.String("execution-log", "", "where to write what ran")
	flag.Parse()
	file, err := os.OpenFile(*path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	server := newServer(file)
	if !*overHTTP {
		if err := server.Run(context.Background(), &mcp.StdioTransport{}); err != nil {
			log.Print(err)
		}
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("http://%s/mcp\n", listener.Addr())
	// The SDK serves sessions or revisions without them, so a server of both eras has two handlers.
	get := func(*http.Request) *mcp.Server { return server }
	sessions := mcp.NewStreamableHTTPHandler(get, nil)
	stateless := mcp.NewStreamableHTTPHandler(get, &mcp.StreamableHTTPOptions{Stateless: true})
	log.Fatal(http.Serve(listener, http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		if request.Header.Get("Mcp-Protocol-Version") >= "2026" {
			stateless.ServeHTTP(writer, request)
		} else {
			sessions.ServeHTTP(writer, request)
		}
	})))
}

func newServer(file *os.File) *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "farm-go", Version: "1.0.0"}, nil)
	schema := json.RawMessage(`{"type":"object","properties":{"path":{"type":"string"}}}`)
	for _, name := range []string{"safe_read", "admin_delete"} {
		server.AddTool(&mcp.Tool{Name: name, InputSchema: schema}, func(_ context.Context, request *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			if err := record(file, request.Params.Name, request.Params.Arguments); err != nil {
				return nil, err
			}
			text := &mcp.TextContent{Text: "ran " + request.Params.Name}
			return &mcp.CallToolResult{Content: []mcp.Content{text}}, nil
		})
	}
	return server
}

// The arguments are written as they came, so that they can be compared byte for byte.
func record(file *os.File, tool string, arguments json.RawMessage) error {
	if len(arguments) == 0 {
		arguments = json.RawMessage("{}")
	}
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	entry := struct {
		Tool      string          `json:"tool"`
		Arguments json.RawMessage `json:"arguments"`
	}{tool, arguments}
	if err := encoder.Encode(entry); err != nil {
		return err
	}
	_, err := file.Write(line.Bytes())
	return err
}
