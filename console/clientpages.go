package console

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"ecardid/identity"
	"ecardid/templates"
)

const (
	clientsPath   = "/console/clients"
	usageDays     = 30 // of the chart
	refusalsShown = 20
	maxScopes     = 50 // of a registration
	maxTesters    = 20
)

func (s *Service) clientRoutes() []Route {
	all := []Route{
		s.get(clientsPath, ClientRead, (*visit).listClients),
		s.get(clientsPath+"/{client}", ClientRead, (*visit).showClient),
		s.get(clientsPath+"/{client}/admission", ClientPrepare, (*visit).showRecord),
		s.post(clientsPath+"/{client}/admission", ClientPrepare, (*visit).saveRecord, recordFields()...),
	}
	return append(all, s.watchRoutes()...)
}

func clientPath(id string) string { return clientsPath + "/" + url.PathEscape(id) }

func (v *visit) listClients() error {
	files, err := v.Clients.ListClients(v.r.Context())
	if err != nil {
		return fmt.Errorf("listing clients: %w", err)
	}
	page := templates.ConsoleClients{Desk: v.desk()}
	for _, f := range files {
		page.Clients = append(page.Clients, rowOfClient(f))
	}
	return v.show(page)
}

func rowOfClient(f ClientFile) templates.ConsoleClientRow {
	return templates.ConsoleClientRow{
		ID: f.ID, Name: templates.Text(f.Name), State: f.State, Dynamic: f.Dynamic, Ends: f.Ends, Ending: f.Ending, URL: clientPath(f.ID),
	}
}

// client reads the one of the path.
func (v *visit) client() (ClientFile, error) {
	f, err := v.Clients.ClientFile(v.r.Context(), v.r.PathValue("client"))
	if errors.Is(err, identity.ErrNotFound) {
		return ClientFile{}, errMissing
	}
	if err != nil {
		return ClientFile{}, fmt.Errorf("reading a client: %w", err)
	}
	return f, nil
}

func (v *visit) showClient() error {
	f, err := v.client()
	if err != nil {
		return err
	}
	ctx := v.r.Context()
	days, err := v.Clients.ClientDays(ctx, f.ID, usageDays)
	if err != nil {
		return fmt.Errorf("reading a client's usage: %w", err)
	}
	refusals, err := v.Trail.ClientRefusals(ctx, f.ID, refusalsShown)
	if err != nil {
		return fmt.Errorf("reading a client's refusals: %w", err)
	}
	page := templates.ConsoleClient{
		Desk: v.desk(), ConsoleClientRow: rowOfClient(f), Profile: f.Profile, Method: f.Method, Created: f.Created, Updated: f.Updated,
		Redirects: texts(f.Redirects), Grants: texts(f.Grants), Scopes: texts(f.Scopes), Chart: chartOf(days), Record: recordOf(f.Record),
		Orders: v.clientOrders(f), ListURL: clientsPath,
	}
	for _, m := range refusals {
		page.Refusals = append(page.Refusals, momentOf(m))
	}
	return v.show(page)
}

func texts(all []string) []templates.Text {
	out := make([]templates.Text, len(all))
	for i, s := range all {
		out[i] = templates.Text(s)
	}
	return out
}

func recordOf(r Record) templates.ConsoleRecord {
	page := templates.ConsoleRecord{
		Assessor: templates.Text(r.Assessor), Reference: templates.Text(r.Reference), Assessed: r.Assessed, Expires: r.Expires,
	}
	for _, s := range r.Scopes {
		page.Scopes = append(page.Scopes, templates.ConsoleBasis{Scope: s.Scope, Allowed: true, Chinese: templates.Text(s.Chinese), English: templates.Text(s.English)})
	}
	for _, id := range r.Testers {
		page.Testers = append(page.Testers, id.String())
	}
	return page
}

func chartOf(days []ClientDay) templates.ConsoleChart {
	all := make([]templates.ConsoleDay, len(days))
	for i, d := range days {
		all[i] = templates.ConsoleDay{Day: d.Day.In(china()).Format(dayForm), Codes: int(d.Codes), Refreshes: int(d.Refreshes), Refusals: int(d.Refusals), Overasked: int(d.Overasked)}
	}
	return templates.ChartOf(all)
}

// clientOrders are the steps there are from where the client is, for whom they are.
func (v *visit) clientOrders(f ClientFile) []templates.ConsoleDo {
	back := clientPath(f.ID)
	var all []templates.ConsoleDo
	add := func(act Act, word, to string) {
		if v.Performers[act] == nil || !Permit(v.staff.Roles, act) {
			return
		}
		o := Order{Act: act, Client: f.ID}
		if to != "" {
			o.Value = ClientChange{Revision: f.Revision, State: to}.Value()
		}
		all = append(all, templates.ConsoleDo{Word: word, URL: ActPath(o, back)})
	}
	if !f.Dynamic && f.State != ClientWithdrawn && v.Performers[ClientPrepare] != nil && Permit(v.staff.Roles, ClientPrepare) && recordAct(f) != "" {
		all = append(all, templates.ConsoleDo{Word: "record", URL: back + "/admission"})
	}
	if !f.Dynamic {
		switch f.State {
		case ClientDraft:
			add(ClientPrepare, "testing", ClientTesting)
		case ClientTesting:
			add(ClientPrepare, "assessed", ClientAssessed)
			add(ClientPrepare, "draft", ClientDraft)
		case ClientAssessed:
			add(ClientAdmit, "admit", ClientLive)
			add(ClientPrepare, "draft", ClientDraft)
		case ClientSuspended:
			add(ClientAdmit, "admit", ClientLive)
		}
	}
	if suspends(f.State) != "" {
		add(ClientSuspend, "suspend", "")
	}
	if f.State != ClientWithdrawn {
		add(ClientWithdraw, "withdraw", "")
	}
	return all
}

// recordAct is the act that changes the record of a client in its state: what a client
// that is served, or was, is admitted to, others have to approve.
func recordAct(f ClientFile) Act {
	switch f.State {
	case ClientDraft, ClientTesting:
		return ClientPrepare
	case ClientLive, ClientSuspended:
		return ClientAdmit
	}
	return "" // one that was assessed goes back to draft first
}

// The fields of the record's form: for each scope one to tick and two texts, by number.
func recordFields() []string {
	all := []string{"revision", "assessor", "reference", "assessed", "expires", "testers", "reason", "record-save"}
	for i := range maxScopes {
		n := strconv.Itoa(i)
		all = append(all, "scope-"+n, "zh-"+n, "en-"+n)
	}
	return all
}

// showRecord asks for the passkey first, so that nothing that was typed is lost to it.
func (v *visit) showRecord() error {
	f, err := v.client()
	if err != nil {
		return err
	}
	o, err := v.recordOrder(f)
	if err != nil {
		return err
	}
	if !v.fresh(o) {
		return v.stepUp(o, clientPath(f.ID)+"/admission")
	}
	return v.showRecordForm(f, f.Record, f.Revision, "")
}

func (v *visit) recordOrder(f ClientFile) (Order, error) {
	act := recordAct(f)
	if act == "" || f.Dynamic || v.Performers[act] == nil || !Permit(v.staff.Roles, act) {
		return Order{}, errMissing
	}
	return Order{Act: act, Client: f.ID}, nil
}

func (v *visit) showRecordForm(f ClientFile, r Record, revision, reason string) error {
	page := templates.ConsoleAdmission{
		Desk: v.desk(), Name: templates.Text(f.Name), State: f.State, Record: recordOf(r), Revision: revision, Typed: templates.Text(reason),
		Approved: recordAct(f) == ClientAdmit, BackURL: clientPath(f.ID),
	}
	page.Record.Scopes = nil
	for _, scope := range f.Scopes {
		one := templates.ConsoleBasis{Scope: scope, Allowed: len(r.Scopes) == 0}
		if i := slices.IndexFunc(r.Scopes, func(s ScopeBasis) bool { return s.Scope == scope }); i >= 0 {
			one = templates.ConsoleBasis{Scope: scope, Allowed: true, Chinese: templates.Text(r.Scopes[i].Chinese), English: templates.Text(r.Scopes[i].English)}
		}
		page.Record.Scopes = append(page.Record.Scopes, one)
	}
	return v.show(page)
}

func (v *visit) saveRecord() error {
	f, err := v.client()
	if err != nil {
		return err
	}
	o, err := v.recordOrder(f)
	if err != nil {
		return err
	}
	typed, err := v.typedRecord(f)
	again := func(err error) error {
		if v.problem = problemOf(err); !v.problem.Given() {
			return err
		}
		if errors.Is(err, ErrInvalid) {
			v.problem = templates.Say(templates.ConsoleProblemRecord)
		}
		v.status, _ = verdict(err)
		return v.showRecordForm(f, typed, v.form.Get("revision"), v.field("reason"))
	}
	if err != nil {
		return again(err)
	}
	state := f.State
	if o.Act == ClientAdmit {
		state = ClientLive
	}
	o.Value = ClientChange{Revision: v.form.Get("revision"), State: state, Record: &typed}.Value()
	o.Reason = v.field("reason")
	out, err := v.do(o)
	if errors.Is(err, ErrStepUp) {
		return v.stepUp(o, clientPath(f.ID)+"/admission")
	}
	if err != nil {
		return again(err)
	}
	return v.done(o, out, clientPath(f.ID))
}

// typedRecord reads the form. No scope ticked is none allowed, and that is no record.
func (v *visit) typedRecord(f ClientFile) (Record, error) {
	r := Record{Assessor: v.field("assessor"), Reference: v.field("reference"), Assessed: v.field("assessed"), Expires: v.field("expires")}
	for i, scope := range f.Scopes {
		n := strconv.Itoa(i)
		if v.form.Get("scope-"+n) != "" {
			r.Scopes = append(r.Scopes, ScopeBasis{Scope: scope, Chinese: v.field("zh-" + n), English: v.field("en-" + n)})
		}
	}
	if len(r.Scopes) == 0 && len(f.Scopes) > 0 {
		return r, ErrInvalid
	}
	for _, word := range strings.Fields(v.form.Get("testers")) {
		id, err := identity.ParseID(word)
		if err != nil || id.IsZero() || slices.Contains(r.Testers, id) || len(r.Testers) == maxTesters {
			return r, ErrInvalid
		}
		r.Testers = append(r.Testers, id)
	}
	return r, nil
}
