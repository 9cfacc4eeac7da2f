package crd

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"reflect"
	"regexp"
	"strings"
)

// comments are those of types, by TYPE, and of their fields, by TYPE.FIELD.
type comments map[string]string

// read gathers the comments of the Go files in a directory. A comment above
// fields that stand together is that of all of them.
func read(source fs.FS) (comments, error) {
	files, err := fs.Glob(source, "*.go")
	if err != nil {
		return nil, err
	}
	found := comments{}
	set := token.NewFileSet()
	for _, name := range files {
		content, err := fs.ReadFile(source, name)
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(set, path.Base(name), content, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, declaration := range file.Decls {
			group, ok := declaration.(*ast.GenDecl)
			if !ok || group.Tok != token.TYPE {
				continue
			}
			for _, s := range group.Specs {
				t := s.(*ast.TypeSpec)
				found[t.Name.Name] = group.Doc.Text() + t.Doc.Text()
				if fields, ok := t.Type.(*ast.StructType); ok {
					found.fields(set, t.Name.Name, fields)
				}
			}
		}
	}
	return found, nil
}

func (c comments) fields(set *token.FileSet, of string, t *ast.StructType) {
	above, line := "", 0
	for _, field := range t.Fields.List {
		text := field.Doc.Text()
		if text == "" && set.Position(field.Pos()).Line == line+1 {
			text = above
		}
		above, line = text, set.Position(field.End()).Line
		for _, name := range field.Names {
			c[of+"."+name.Name] = text
		}
		if len(field.Names) == 0 {
			if s, ok := field.Type.(*ast.SelectorExpr); ok {
				c[of+"."+s.Sel.Name] = text
			}
		}
	}
}

var (
	word = regexp.MustCompile(`\b[A-Z]\w*(\.[A-Z]\w*)?\b`)
	line = regexp.MustCompile(`(\S)\n(\S)`)
)

// of is the comment of a type of ours or of Kubernetes, or of its field, as whoever
// writes policies reads it: fields have their names in JSON, and paragraphs
// are lines.
func (c comments) of(t reflect.Type, field string) string {
	key := strings.TrimSuffix(t.Name()+"."+field, ".")
	text, ours := c[key]
	if !ours {
		theirs, ok := reflect.Zero(t).Interface().(interface{ SwaggerDoc() map[string]string })
		if !ok {
			return ""
		}
		if f, has := t.FieldByName(field); has {
			field, _, _ = strings.Cut(f.Tag.Get("json"), ",")
		}
		return theirs.SwaggerDoc()[field]
	}
	text = word.ReplaceAllStringFunc(text, func(found string) string {
		holder, name, qualified := strings.Cut(found, ".")
		if qualified {
			if _, known := c[found]; known {
				return lower(holder) + "." + lower(name)
			}
		} else if f, has := t.FieldByName(found); has {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			return name
		}
		return found
	})
	return strings.TrimSpace(line.ReplaceAllString(text, "$1 $2"))
}

func lower(name string) string { return strings.ToLower(name[:1]) + name[1:] }
